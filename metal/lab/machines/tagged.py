"""A switch's port that carries one VLAN, tagged, and nothing else: between a tap of the wire and
the cards of one machine. In user space, as a kernel need not have 802.1Q.

    python -m metal.lab.machines.tagged TAP VLAN FOLDER CARDS

Card N of the machine is QEMU's `-netdev dgram` from FOLDER/cardN to FOLDER/portN. What the machine
sends with another tag, or with none, is thrown away and counted in FOLDER/strays.
"""

import fcntl
import io
import select
import socket
import struct
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

TAGGED = 0x8100
TUN = Path("/dev/net/tun")
TUNSETIFF, TAP, NO_PI = 0x400454CA, 0x2, 0x1000
LARGEST = 65536
CARD, PORT = "card{}", "port{}"


def tagged(frame: bytes, vlan: int) -> bytes:
    """`frame` with the tag behind its two addresses."""
    return frame[:12] + struct.pack("!HH", TAGGED, vlan) + frame[12:]


def taken_off(frame: bytes) -> tuple[int, bytes]:
    """(the VLAN, the frame without its tag); 0 where it has none."""
    kind, tag = struct.unpack_from("!HH", frame, 12)
    return (tag & 0xFFF, frame[:12] + frame[16:]) if kind == TAGGED else (0, frame)


def netdev(folder: Path, number: int) -> str:
    """The words of QEMU's -netdev, its id CARDN."""
    ours, theirs = folder / CARD.format(number), folder / PORT.format(number)
    local = f"local.type=unix,local.path={ours}"
    return f"dgram,id={ours.name},{local},remote.type=unix,remote.path={theirs}"


def carry(tap: str, vlan: int, folder: Path, cards: int) -> None:
    """Until it is ended. The cards are alike, as ports of a switch: each hears everything."""
    strays: Counter[int] = Counter()
    with TUN.open("r+b", buffering=0) as wire:
        fcntl.ioctl(wire, TUNSETIFF, struct.pack("16sH", tap.encode(), TAP | NO_PI))
        ports: dict[socket.socket, str] = {}
        for number in range(cards):
            port = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            port.bind(str(folder / PORT.format(number)))
            ports[port] = str(folder / CARD.format(number))
        while True:
            sources: list[io.FileIO | socket.socket] = [wire, *ports]
            ready = select.select(sources, [], [])[0]
            if wire in ready:
                frame = tagged(wire.read(LARGEST), vlan)
                for port, card in ports.items():
                    with suppress(OSError):  # the machine is off
                        port.sendto(frame, card)
            for port in ports:
                if port not in ready:
                    continue
                found, frame = taken_off(port.recv(LARGEST))
                if found == vlan:
                    wire.write(frame)
                else:
                    strays[found] += 1
                    told = "".join(f"{tag} {n}\n" for tag, n in sorted(strays.items()))
                    (folder / "strays").write_text(told)


if __name__ == "__main__":
    carry(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
