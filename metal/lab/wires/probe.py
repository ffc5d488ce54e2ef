"""Runs on a machine of the wires lab, alone: calls addresses and tells what answered.

stdin: a JSON list of {address, protocol, port, name, talk}; stdout: the answers in that order,
null where nobody answered in time. `talk`: "plain", "tls" or "web".
"""

import json
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SECONDS = 3.0
Call = dict[str, Any]


def ask(call: Call) -> Any:
    try:
        if call["protocol"] == "udp":
            return datagram(call)
        with socket.create_connection((call["address"], call["port"]), SECONDS) as talk:
            talk.settimeout(SECONDS)
            return json.loads(heard(call, talk))
    except (OSError, ValueError, IndexError):
        return None


def heard(call: Call, talk: socket.socket) -> str:
    if call["talk"] == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(talk, server_hostname=call["name"]) as safe:
            return everything(safe)
    if call["talk"] == "web":
        request = f"GET / HTTP/1.1\r\nHost: {call['name']}\r\nConnection: close\r\n\r\n"
        talk.sendall(request.encode())
        return everything(talk).split("\r\n\r\n", 1)[1]
    return everything(talk)


def everything(talk: socket.socket) -> str:
    parts = []
    while part := talk.recv(65536):
        parts.append(part)
        if part.endswith(b"\n"):
            break
    return b"".join(parts).decode()


def datagram(call: Call) -> Any:
    family = socket.AF_INET6 if ":" in call["address"] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as talk:
        talk.settimeout(SECONDS)
        talk.connect((call["address"], call["port"]))
        talk.send(b"who is there")
        return json.loads(talk.recv(2048))


if __name__ == "__main__":
    with ThreadPoolExecutor(32) as pool:
        print(json.dumps(list(pool.map(ask, json.load(sys.stdin)))))
