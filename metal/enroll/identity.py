"""Is this the machine we know? Pure.

Serials are left blank by makers or shared by every board of a series (R32), UUIDs are missing
(R30) or turn their byte order with a firmware update (R31), and the nodes of one chassis have its
serial in common. So no key alone decides: what agrees and what differs is weighed.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Protocol

from metal.drivers.placeholders import PLACEHOLDER_UUIDS, both_orders, told

KEYS = ("serial", "uuid", "board_serial", "bmc_mac")


class Known(Protocol):
    """Facts and Learned alike."""

    @property
    def vendor(self) -> str | None: ...
    @property
    def serial(self) -> str | None: ...
    @property
    def sku(self) -> str | None: ...
    @property
    def uuid(self) -> str | None: ...
    @property
    def board_serial(self) -> str | None: ...
    @property
    def bmc_mac(self) -> str | None: ...


def canonical_uuid(text: str | None) -> str | None:
    """One form for both byte orders; None for what is no UUID or a placeholder."""
    try:
        found = uuid.UUID(text or "")
    except ValueError:
        return None
    both = both_orders(found)
    return None if both & PLACEHOLDER_UUIDS else min(both)


def compare(one: Known, other: Known) -> dict[str, bool]:
    """key → whether they agree on it; keys that either does not know are left out."""
    mine, yours = _keys(one), _keys(other)
    agree = {k: mine[k] == yours[k] for k in KEYS if mine[k] and yours[k]}
    if agree.get("serial") is False:
        agree["serial"] = mine["serial"] in _also(other) or yours["serial"] in _also(one)
    return agree


def _also(known: Known) -> set[str | None]:
    """Other numbers of it that another protocol tells as its serial: over IPMI a Dell's is the
    service tag, over Redfish the board's serial, with the tag as its SKU."""
    return {_serial(known.vendor, text) for text in (known.sku, known.board_serial)} - {None}


def same(one: Known, other: Known) -> bool:
    """They are one machine: something of its own agrees, and nothing as good differs."""
    agree = compare(one, other)
    if agree.get("serial") and agree.get("uuid"):
        return True
    if "uuid" in agree:
        # Nodes of one chassis share its serial; boards of one bad series share a UUID.
        if agree["uuid"]:
            return agree.get("serial", agree.get("board_serial", True))
        return agree.get("serial", False) and agree.get("board_serial", False)
    if "serial" in agree:
        return agree["serial"] and agree.get("board_serial", True)
    # Nodes have the BMC in common, so its MAC is the last to be asked (R32).
    return agree.get("board_serial", agree.get("bmc_mac", False))


def another(one: Known, other: Known) -> bool:
    """They are surely two machines: they can be compared and agree on nothing."""
    agree = compare(one, other)
    return bool(agree) and not any(agree.values())


def recognise(seen: Known, fleet: Mapping[str, Known]) -> str | None:
    """The server of `fleet` that `seen` is, if it is one."""
    return next((name for name, known in fleet.items() if same(seen, known)), None)


def is_serial(wanted: str, tellings: Iterable[str | None]) -> bool | None:
    """Whether `wanted` (of a list) is one of the serials that are told; None if none is told."""
    told_ones = [_plain(t) for t in tellings if told(t)]
    return _plain(wanted) in told_ones if told_ones else None


def _keys(known: Known) -> dict[str, str | None]:
    return {
        "serial": _serial(known.vendor, known.serial),
        "uuid": canonical_uuid(known.uuid),
        "board_serial": _plain(board) if (board := told(known.board_serial)) else None,
        "bmc_mac": known.bmc_mac.lower() if known.bmc_mac else None,
    }


def _serial(vendor: str | None, text: str | None) -> str | None:
    """Two makers may well use the same short serial."""
    serial = told(text)
    return f"{_maker(vendor)} {_plain(serial)}" if serial else None


def _plain(text: str | None) -> str:
    return "".join(c for c in (text or "") if c.isalnum()).casefold()


def _maker(vendor: str | None) -> str:
    """ "de" for "Dell Inc." and "DELL", "hp" for all of HP's names: spellings differ."""
    name = (vendor or "").casefold().replace("-", " ").replace("hewlett packard", "hp")
    return name.strip()[:2]
