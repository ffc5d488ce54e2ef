"""The address of the inventory on the card that the machine booted through. No DHCP is needed."""

import time
from pathlib import Path

from .programs import run

NET = Path("/sys/class/net")
LINK_SECONDS = 60.0


def cards() -> dict[str, str]:
    """Name → MAC of every real card."""
    return {
        card.name: (card / "address").read_text().strip()
        for card in sorted(NET.iterdir())
        if (card / "device").exists()
    }


def bring_up(mac: str, address: str, gateway: str, vlan: str = "") -> bool:
    """The card with `mac` has `address` (with its prefix length), tagged with `vlan` if there is
    one; the others are up, no more."""
    mine = None
    for name, own in cards().items():
        run(["ip", "link", "set", name, "up"])
        if own == mac:
            mine = name
    if mine is None:
        return False
    _wait_for_link(mine)
    if vlan:
        run(["modprobe", "8021q"])
        run(["ip", "link", "add", "link", mine, "name", f"vlan{vlan}", "type", "vlan", "id", vlan])
        mine = f"vlan{vlan}"
        run(["ip", "link", "set", mine, "up"])
    family = "-6" if ":" in address else "-4"
    extra = ["nodad"] if family == "-6" else []
    run(["ip", family, "address", "add", address, "dev", mine, *extra])
    run(["ip", family, "route", "add", "default", "via", gateway, "dev", mine])
    return True


def _wait_for_link(name: str) -> None:
    """Spanning tree and old switches take their time; without a link it is tried all the same."""
    deadline = time.monotonic() + LINK_SECONDS
    while time.monotonic() < deadline:
        try:
            if (NET / name / "carrier").read_text().strip() == "1":
                return
        except OSError:
            pass
        time.sleep(0.2)
