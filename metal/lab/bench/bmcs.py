"""Many BMCs in one process, each of its own slowness: what a sweep is timed on.

Leaner than metal/lab/redfish_bmc.py, as both cores are the sweep's to measure: one event loop, one
certificate, ready-made answers. It counts what the sweep must keep to: connections open at once,
and sessions a BMC.
"""

import asyncio
import json
import os
import re
import secrets
import signal
import ssl
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from metal.lab.hardware import KINDS
from metal.lab.machine import Hardware, Machine
from metal.lab.recorded import read_tree
from metal.lab.redfish_faults import Body
from metal.lab.redfish_tree import ROOT, expanded, machine_tree
from metal.lab.web import self_signed
from metal.model.facts import Cpu, Dimm, Drive, Nic

USER, PASSWORD = "ADMIN", "factory-Pa55word"
PORT = 7443
SESSIONS = f"{ROOT}/SessionService/Sessions"


def address(number: int) -> str:
    return f"127.93.{number // 200}.{number % 200 + 1}"


@dataclass
class Counts:
    """Of all BMCs together."""

    calls: int = 0
    open: int = 0
    most_open: int = 0
    handshakes: int = 0
    most_sessions: int = 0
    """Of one BMC at a time."""


@dataclass
class QuickBmc:
    """One BMC: `seconds` before each answer."""

    number: int
    seconds: float
    counts: Counts
    tree: dict[str, bytes]
    """Ready-made bodies: path → of a GET, path and "?" → of one with $expand."""
    tokens: set[str] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counts = self.counts
        counts.handshakes += 1
        counts.open += 1
        counts.most_open = max(counts.most_open, counts.open)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path, _ = head.split(b" ", 2)
                fields = head.decode("latin-1").lower()
                said = re.search(r"content-length: *(\d+)", fields)
                body = await reader.readexactly(int(said[1]) if said else 0)
                counts.calls += 1
                await asyncio.sleep(self.seconds)
                writer.write(self._answer(method.decode(), path.decode(), fields, body))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            counts.open -= 1
            writer.close()

    def _answer(self, method: str, path: str, fields: str, body: bytes) -> bytes:
        path, query, _ = path.partition("?")
        path = path.rstrip("/")
        if method == "POST":  # wherever a recorded machine has its sessions
            return self._log_in(body)
        if method == "DELETE":
            self.tokens.clear()
            return _http(204, b"")
        if path != ROOT and not any(token in fields for token in self.tokens):
            return _http(401, b"{}")
        found = self.tree.get(path + "?" * bool(query)) if method == "GET" else None
        return _http(200, found) if found else _http(404, b"{}")

    def _log_in(self, body: bytes) -> bytes:
        given = json.loads(body)
        if (given.get("UserName"), given.get("Password")) != (USER, PASSWORD):
            return _http(401, b"{}")
        token = secrets.token_hex(16)
        self.tokens.add(token)
        self.counts.most_sessions = max(self.counts.most_sessions, len(self.tokens))
        return _http(201, b"{}", f"X-Auth-Token: {token}\r\nLocation: {SESSIONS}/1\r\n")


def _http(status: int, body: bytes, more: str = "") -> bytes:
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"HTTP/1.1 {status} X\r\n{kind}{more}\r\n".encode() + body


def ready(bodies: dict[str, Body]) -> dict[str, bytes]:
    """The tree of a QuickBmc."""
    tree = {path: json.dumps(body).encode() for path, body in bodies.items()}
    for path, body in bodies.items():
        tree[f"{path}?"] = json.dumps(expanded(body, bodies.get)).encode()
    return tree


@cache
def recorded(file: Path) -> dict[str, bytes]:
    """A captured machine, once for all BMCs that show it."""
    return ready(read_tree(file))


def made_up(number: int, *, expands: bool) -> dict[str, bytes]:
    """`expands`: it shows a collection's members in place of their links."""
    machine = Machine(f"m{number}", hardware(number))
    return ready(machine_tree(machine, {}, {"expands"} if expands else set()))


def hardware(number: int) -> Hardware:
    """A machine as donors have them, with two sockets, eight modules and four drives."""
    kind = KINDS[number % len(KINDS)]
    return Hardware(
        vendor=kind.vendor,
        model=kind.model,
        serial=f"BENCH{number:04d}",
        uuid=f"4c4c4544-0042-4a10-8036-b4c04f4d{number:04x}",
        bios_version=kind.bios,
        bmc_firmware=kind.firmware,
        cpu=Cpu(model=kind.chip, sockets=2, cores=kind.cores, threads=kind.threads),
        dimms=tuple(Dimm(slot=f"DIMM {i}", size_gib=16) for i in range(8)),
        drives=tuple(
            Drive(name=f"Bay {i}", size_bytes=10**12, media="ssd", serial=f"S{number}-{i}")
            for i in range(4)
        ),
        nics=tuple(
            Nic(name=f"NIC {i}", mac=f"02:00:5f:{number >> 8:02x}:{number & 255:02x}:{i:02x}")
            for i in range(2)
        ),
    )


async def main(folder: Path, seconds: list[float], kinds: list[str]) -> None:
    """Serve until SIGTERM, then print the counts. `seconds`: one BMC each. `kinds`: what they are
    in turn, "plain", "expands" or the file of a captured tree."""
    certificate = self_signed(folder, "bench", address(0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    counts = Counts()
    for number, delay in enumerate(seconds):
        kind = kinds[number % len(kinds)]
        made = kind in ("plain", "expands")
        tree = made_up(number, expands=kind == "expands") if made else recorded(Path(kind))
        bmc = QuickBmc(number, delay, counts, tree)
        await asyncio.start_server(bmc.serve, address(number), PORT, ssl=context)
    print("ready", flush=True)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await over.wait()
    print(json.dumps(counts.__dict__ | {"cpu": sum(os.times()[:2])}), flush=True)


if __name__ == "__main__":
    delays = [float(text) for text in sys.argv[2].split(",")]
    asyncio.run(main(Path(sys.argv[1]), delays, sys.argv[3:] or ["plain"]))
