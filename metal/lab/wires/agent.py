"""Runs on every machine of the wires lab, alone: answers on every port there is, with who asked.

A VM whose every port answers is what makes "nothing else is open" a statement about the gateways.
nftables sends all ports to a few doors here; the port that was meant is asked of the kernel.
"""

import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

PLAIN, TLS, TOLD, WEB = 1, 2, 3, 4
"""Doors: a line at once; TLS; TLS behind the PROXY protocol; HTTP."""
ORIGINAL_DST = 80  # of netfilter, for both families
IP_PKTINFO = 8
Answer = Callable[[socket.socket, str, int], None]
RULES = """\
table inet agent {{
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        {doors}
        meta l4proto tcp redirect to :{plain}
        meta l4proto udp redirect to :{plain}
    }}
}}
"""


def main(config: dict[str, Any]) -> None:
    doors = []
    for door, family in ((TLS, "ip6"), (TOLD, "ip"), (TLS, "ip"), (WEB, "")):
        ports = config["ports"].get(f"{door}{family}", [])
        if ports:
            only = f"meta nfproto {'ipv4' if family == 'ip' else 'ipv6'} " if family else ""
            listed = ", ".join(map(str, ports))
            doors.append(f"{only}tcp dport {{ {listed} }} redirect to :{door}")
    rules = RULES.format(doors="\n        ".join(doors), plain=PLAIN)
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(config["certificate"])
    name = config["name"]
    serve(PLAIN, lambda talk, peer, port: talk.sendall(line(name, peer, port)))
    serve(TLS, lambda talk, peer, port: tls(context, talk, name, peer, port))
    serve(TOLD, lambda talk, peer, port: tls(context, talk, name, proxied(talk), port))
    serve(WEB, lambda talk, peer, port: web(talk, name, peer, port))
    datagrams = [
        threading.Thread(target=answer_datagrams, args=(name, family))
        for family in (socket.AF_INET, socket.AF_INET6)
    ]
    for thread in datagrams:
        thread.start()
    print("ready", flush=True)


def line(name: str, peer: str, port: int) -> bytes:
    return (json.dumps({"name": name, "peer": peer, "port": port}) + "\n").encode()


def serve(door: int, answer: Answer) -> None:
    for family in (socket.AF_INET, socket.AF_INET6):
        listening = socket.create_server(("", door), family=family, backlog=64)
        threading.Thread(target=accept, args=(listening, answer), daemon=True).start()


def accept(listening: socket.socket, answer: Answer) -> None:
    while True:
        talk, peer = listening.accept()
        threading.Thread(target=handle, args=(talk, peer, answer), daemon=True).start()


def handle(talk: socket.socket, peer: Any, answer: Answer) -> None:
    with talk:
        try:
            talk.settimeout(10)
            answer(talk, peer[0], meant(talk))
        except OSError:
            return


def meant(talk: socket.socket) -> int:
    """The port that the caller dialled."""
    level = socket.IPPROTO_IP if talk.family == socket.AF_INET else socket.IPPROTO_IPV6
    told = talk.getsockopt(level, ORIGINAL_DST, 28)
    return int.from_bytes(told[2:4], "big")


def tls(context: ssl.SSLContext, talk: socket.socket, name: str, peer: str, port: int) -> None:
    with context.wrap_socket(talk, server_side=True) as safe:
        safe.sendall(line(name, peer, port))


def proxied(talk: socket.socket) -> str:
    """The client's address of a PROXY protocol header, version 2."""
    head = talk.recv(16, socket.MSG_WAITALL)
    if not head.startswith(b"\r\n\r\n\x00\r\nQUIT\n"):
        raise OSError("no PROXY protocol")
    rest = talk.recv(int.from_bytes(head[14:], "big"), socket.MSG_WAITALL)
    return socket.inet_ntoa(rest[:4])


def web(talk: socket.socket, name: str, peer: str, port: int) -> None:
    asked = talk.recv(65536).decode(errors="replace")
    for header in asked.splitlines():
        if header.lower().startswith("x-forwarded-for:"):
            peer = header.split(":", 1)[1].strip()
    body = line(name, peer, port)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    talk.sendall(head.encode() + body)


def answer_datagrams(name: str, family: socket.AddressFamily) -> None:
    """Answered from the address that was asked: a machine has several."""
    level, wanted, kind = {
        socket.AF_INET: (socket.IPPROTO_IP, IP_PKTINFO, IP_PKTINFO),
        socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, socket.IPV6_PKTINFO),
    }[family]
    door = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    door.setsockopt(level, wanted, 1)
    door.bind(("", PLAIN))
    while True:
        _, told, _, peer = door.recvmsg(2048, 256)
        own = [item for item in told if item[:2] == (level, kind)]
        try:
            door.sendmsg([line(name, peer[0], 0)], own, 0, peer)
        except OSError:
            continue


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
