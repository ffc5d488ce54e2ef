"""Which cluster a server would fit: the one whose weakest member it resembles most. Pure.

Live migration wants processors of one maker, Ceph disks of similar size, and a cluster never
spans sites. What is not known of a server is no reason against it, and is said.
"""

import re
from collections.abc import Iterator

from metal.model.fleet import Inventory, Learned, Server

USUAL = 3
"""Servers of a cluster: one with fewer is looking for its third."""


def fits(inventory: Inventory, server: str) -> tuple[str | None, str]:
    """(cluster, why), or (None, why not)."""
    own = inventory.cluster_of(server)
    if own:
        return own, "the inventory puts it there"
    mine = inventory.servers[server]
    good: list[tuple[float, str, str]] = []
    against: list[str] = []
    for name, cluster in inventory.clusters.items():
        peers = [inventory.servers[peer] for peer in cluster.servers]
        why = next(_against(mine, peers, ceph=cluster.ceph), "")
        if why:
            against.append(f"{name}: {why}")
        else:
            good.append((_distance(mine, peers, len(cluster.servers)), name, _said(mine, peers)))
    if good:
        _, name, why = min(good)
        return name, why
    return None, "; ".join(against) or "the inventory has no cluster"


def _against(mine: Server, peers: list[Server], *, ceph: bool) -> Iterator[str]:
    if any(peer.site != mine.site for peer in peers):
        yield f"stands at {peers[0].site}"
    learned = mine.learned or Learned()
    makers = {maker(p.learned.cpu) for p in peers if p.learned} - {None}
    if maker(learned.cpu) and makers and maker(learned.cpu) not in makers:
        yield f"its processors are {makers.pop()}'s"
    memory = [p.learned.memory_gib for p in peers if p.learned and p.learned.memory_gib]
    if learned.memory_gib and memory and learned.memory_gib < min(memory) / 2:
        yield f"has at least {min(memory)} GiB in each, this one {learned.memory_gib}"
    if ceph and learned.disks and len(learned.disks) < 2:
        yield "wants a second disk for Ceph"


def _distance(mine: Server, peers: list[Server], size: int) -> float:
    """Smaller is better: short of servers first, then the same generation, then like memory."""
    learned = mine.learned or Learned()
    memory = [p.learned.memory_gib for p in peers if p.learned and p.learned.memory_gib]
    far = abs((learned.memory_gib or 0) - min(memory)) / max(memory) if memory else 1.0
    same = any(generation(p.learned.cpu) == generation(learned.cpu) for p in peers if p.learned)
    return (0 if size < USUAL else 10) + (0 if same else 3) + far


def _said(mine: Server, peers: list[Server]) -> str:
    learned = mine.learned or Learned()
    unknown = [
        what for what, known in (("processor", learned.cpu), ("memory", learned.memory_gib),
                                 ("disks", learned.disks)) if not known
    ]  # fmt: skip
    near = f"beside {len(peers)} servers at {mine.site}"
    return near + (f"; its {' and '.join(unknown)} not known" if unknown else "")


def maker(cpu: str | None) -> str | None:
    """intel or amd; None where the name does not say."""
    found = re.search(r"intel|amd", cpu or "", re.IGNORECASE)
    return found[0].lower() if found else None


def generation(cpu: str | None) -> str | None:
    """What of a processor's name tells its generation: "v4" of E5-2620 v4, "41" of Silver 4114."""
    text = cpu or ""
    if found := re.search(r"\bv\d\b", text):
        return found[0]
    if found := re.search(r"(?:Platinum|Gold|Silver|Bronze) \d(\d)\d\d", text):
        return f"scalable {found[1]}"
    if found := re.search(r"EPYC \d\d\d(\d)", text):
        return f"epyc {found[1]}"
    return None
