"""What a BMC does not tell of its server, and the inventory or the last burn-in knows. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from metal.model.burnin import DiskTest, Evidence
from metal.model.facts import Facts
from metal.model.fleet import Learned

MINE, TESTED = "(from your inventory)", "(from the burn-in)"


@dataclass(frozen=True)
class Besides:
    """Label of a line → what stands there, marked with where it is from."""

    texts: dict[str, tuple[str, ...]]
    keys: frozenset[str]
    """What is not "not known" any more: names of facts."""


NOTHING = Besides({}, frozenset())


def besides(facts: Facts, learned: Learned | None, evidence: Evidence | None) -> Besides:
    """Of that alone which `facts` lack: a BMC that tells something is believed."""
    has, seen = learned or Learned(), evidence or Evidence(minutes=0)
    found = [
        *_processors(facts, has),
        *(_memory(has, seen) if facts.memory_gib is None and not facts.dimms else ()),
        *(_drives(has, seen) if not facts.drives else ()),
        *(_network(has, seen) if not facts.nics else ()),
    ]
    texts: dict[str, tuple[str, ...]] = {}
    for label, _, text in found:
        texts[label] = (*texts.get(label, ()), text)
    return Besides(texts, frozenset(key for _, keys, _ in found for key in keys.split()))


Line = tuple[str, str, str]
"""(label, names of facts, text)."""


def _processors(facts: Facts, has: Learned) -> Iterator[Line]:
    parts = {
        "cpu.model": None if facts.cpu.model else has.cpu,
        "cpu.cores": None if facts.cpu.cores else has.cores and f"{has.cores} cores",
        "cpu.threads": None if facts.cpu.threads else has.threads and f"{has.threads} threads",
    }
    known = {key: text for key, text in parts.items() if text}
    if known:
        yield "processors", " ".join(known), f"{', '.join(known.values())} {MINE}"


def _memory(has: Learned, seen: Evidence) -> Iterator[Line]:
    if has.memory_gib is not None:
        dimms = f", {has.dimms}" if has.dimms else ""
        yield "memory", "memory_gib", f"{has.memory_gib} GiB{dimms} {MINE}"
    elif seen.memory and seen.memory.total_mib:
        yield "memory", "memory_gib", f"{seen.memory.total_mib / 1024:.0f} GiB usable {TESTED}"


def _drives(has: Learned, seen: Evidence) -> Iterator[Line]:
    """The burn-in's, which the kernel saw, before those that somebody wrote down."""
    for disk in seen.disks or ():
        yield "drives", "drives", f"{_disk(disk)}  {TESTED}"
    for known in () if seen.disks else has.disks:
        size = f"{known.size_gib} GiB"
        serial = f"serial {known.serial}" if known.serial else ""
        words = (size, known.media, known.name, serial, MINE)
        yield "drives", "drives", "  ".join(filter(None, words))


def _disk(disk: DiskTest) -> str:
    size = f"{disk.size_bytes / 10**9:.0f} GB" if disk.size_bytes else "? GB"
    serial = f"serial {disk.serial}" if disk.serial else ""
    return "  ".join(filter(None, (size, disk.name, disk.model, serial)))


def _network(has: Learned, seen: Evidence) -> Iterator[Line]:
    for nic in seen.nics or ():
        yield "network", "nics", f"{nic.mac}  {nic.name}  {TESTED}"
    for mac in () if seen.nics else has.macs:
        yield "network", "nics", f"{mac}  {MINE}"
