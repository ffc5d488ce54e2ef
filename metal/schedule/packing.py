"""VMs into servers: exact for two, best fit and a bounded search for more.

Two servers are a subset sum. Bit m·W + c of one Python integer says that some subset of the VMs
needs m units of memory and c vCPUs (W exceeds all vCPUs together), so adding a VM is one shift
and one or, and the question is one mask. Where CPU cannot bind, W is 1.
"""

from collections.abc import Iterable, Sequence

from metal.schedule.survival import Guest, Item, Node, Verdict, bundle, forced_apart, waiting

SEARCH_STEPS = 20_000

Found = tuple[Verdict, dict[str, str] | None]
"""(verdict, VM → node; None unless survivable). Replicas that wait have no node."""


def pack_exactly(guests: Sequence[Guest], nodes: Sequence[Node], *, wait: bool = True) -> Found:
    """Whether all `guests` fit into what `nodes` have free, and how; replicas may `wait`."""
    items = bundle(guests)
    waits = waiting(items, nodes) if nodes and wait else []
    return pack_items([i for i in items if i not in waits], nodes)


def pack_items(items: list[Item], nodes: Sequence[Node]) -> Found:
    if not items:
        return Verdict.SURVIVABLE, {}
    exact = _split(items, nodes[0], nodes[1]) if len(nodes) == 2 else None
    if exact is not None:
        return exact
    order = sorted(items, key=lambda i: (-i.memory, not i.groups, -i.vcpus, i.guests[0].name))
    bins = [_Bin(n) for n in nodes]
    found = _best_fit(order, [_Bin(n) for n in nodes])
    exhausted = False
    if found is None:
        search = _Search(order, bins)
        found, exhausted = search.run(), search.steps <= SEARCH_STEPS
    if found is None:
        return (Verdict.NOT if exhausted else Verdict.UNKNOWN), None
    return Verdict.SURVIVABLE, _homes((i, nodes[k]) for i, k in zip(order, found, strict=True))


def _homes(at: Iterable[tuple[Item, Node]]) -> dict[str, str]:
    return {guest.name: node.name for item, node in at for guest in item.guests}


def _split(items: list[Item], a: Node, b: Node) -> Found | None:
    """Into two nodes, read back from the subset sums; None when groups need the general search."""
    forced = forced_apart(items, a, b)
    if forced is None:
        return None
    on_a, on_b, loose = forced
    homes = _homes([*((i, a) for i in on_a), *((i, b) for i in on_b)])
    free = [n.spare - sum(i.memory for i in on) for n, on in ((a, on_a), (b, on_b))]
    cpus = [n.cpus_free - sum(i.vcpus for i in on) for n, on in ((a, on_a), (b, on_b))]
    need, vcpus = sum(i.memory for i in loose), sum(i.vcpus for i in loose)
    if need > sum(free):  # told before sums of a size that none of them has are made
        return Verdict.NOT, None
    width = vcpus + 1 if vcpus > min(cpus) else 1
    weights = [i.memory * width + (i.vcpus if width > 1 else 0) for i in loose]
    steps = [1]
    for weight in weights:
        steps.append(steps[-1] | steps[-1] << weight)
    good = _mask(need, free, width) & steps[-1]
    if width > 1:
        good &= _columns(need, vcpus, cpus, width)
    if min(cpus) < 0 or not good:
        return Verdict.NOT, None
    left = _nearest(good, (need + free[0] - free[1]) // 2 * width)
    for item, weight, before in zip(
        reversed(loose), reversed(weights), reversed(steps[:-1]), strict=True
    ):
        goes_to_a = left >= weight and before >> (left - weight) & 1
        left -= weight if goes_to_a else 0
        homes |= _homes([(item, a if goes_to_a else b)])
    return Verdict.SURVIVABLE, homes


def _mask(need: int, free: list[int], width: int) -> int:
    """Every bit whose memory may go to a while the rest fits on b."""
    low, high = max(0, need - free[1]), min(need, free[0])
    if min(free) < 0 or high < low:
        return 0
    return ((1 << (high - low + 1) * width) - 1) << low * width


def _columns(need: int, vcpus: int, cpus: list[int], width: int) -> int:
    """Every bit whose vCPUs may go to a while the rest fits on b: one window, in each row."""
    low, high = max(0, vcpus - cpus[1]), min(vcpus, cpus[0])
    if high < low:
        return 0
    rows = ((1 << (need + 1) * width) - 1) // ((1 << width) - 1)
    return rows * (((1 << (high - low + 1)) - 1) << low)


def _nearest(bits: int, target: int) -> int:
    """The set bit nearest to `target`: what leaves both survivors about as free."""
    target = max(0, target)
    below = (bits & ((1 << (target + 1)) - 1)).bit_length() - 1
    above = bits >> target
    if not above:
        return below
    up = target + (above & -above).bit_length() - 1
    return up if below < 0 or up - target < target - below else below


class _Bin:
    """What a node has free, while VMs are tried on it."""

    __slots__ = ("cpus", "free", "groups", "node")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.free, self.cpus, self.groups = node.spare, node.cpus_free, set(node.groups())

    def fits(self, item: Item) -> bool:
        return (
            item.memory <= self.free
            and item.vcpus <= self.cpus
            and self.groups.isdisjoint(item.groups)
            and item.suits(self.node)
        )

    def take(self, item: Item) -> None:
        self.free -= item.memory
        self.cpus -= item.vcpus
        self.groups |= item.groups

    def give(self, item: Item) -> None:
        self.free += item.memory
        self.cpus += item.vcpus
        self.groups -= item.groups

    def state(self) -> tuple[int, int, frozenset[str], frozenset[str] | None]:
        """Bins that are in one state are alike."""
        return self.free, self.cpus, frozenset(self.groups), self.node.offers


def _best_fit(order: list[Item], bins: list[_Bin]) -> list[int] | None:
    found: list[int] = []
    for item in order:
        fitting = [i for i, b in enumerate(bins) if b.fits(item)]
        if not fitting:
            return None
        best = min(fitting, key=lambda i: (bins[i].free, i))
        bins[best].take(item)
        found.append(best)
    return found


class _Search:
    """Everything, largest first, until SEARCH_STEPS partial packings were looked at."""

    def __init__(self, order: list[Item], bins: list[_Bin]) -> None:
        self.order, self.bins = order, bins
        self.found: list[int] = []
        self.steps = 0
        self.left = [(0, 0)]
        """Memory and vCPUs of what is still to be placed, from each depth on."""
        for item in reversed(order):
            memory, vcpus = self.left[0]
            self.left.insert(0, (memory + item.memory, vcpus + item.vcpus))

    def run(self) -> list[int] | None:
        return self.found if self._descend(0) else None

    def _descend(self, depth: int) -> bool:
        self.steps += 1
        if depth == len(self.order):
            return True
        memory, vcpus = self.left[depth]
        bins = self.bins
        if memory > sum(b.free for b in bins if b.free > 0) or vcpus > sum(b.cpus for b in bins):
            return False
        item = self.order[depth]
        tried: set[tuple[int, int, frozenset[str], frozenset[str] | None]] = set()
        for i, candidate in enumerate(bins):
            if self.steps > SEARCH_STEPS:
                return False
            if not candidate.fits(item) or candidate.state() in tried:
                continue
            tried.add(candidate.state())
            candidate.take(item)
            self.found.append(i)
            if self._descend(depth + 1):
                return True
            self.found.pop()
            candidate.give(item)
        return False
