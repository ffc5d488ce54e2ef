"""Who shares which public address, kept up to date VM by VM: most that are asked about fit in."""

from collections.abc import Iterable, Mapping

from metal.network.sharing import Port, share


class Shared:
    """Shared addresses and the ports taken on each."""

    def __init__(self, claims: Mapping[str, frozenset[Port]] | None = None) -> None:
        self._taken: list[_Taken] = []
        for owner, number in share(claims or {}).items():
            while number >= len(self._taken):
                self._taken.append(_Taken())
            self._taken[number].take((claims or {})[owner])

    def __len__(self) -> int:
        return len(self._taken)

    def fit(self, ports: Iterable[Port]) -> int | None:
        """The first address where they are all free."""
        wanted = list(ports)
        return next((n for n, taken in enumerate(self._taken) if taken.free(wanted)), None)

    def full(self, ports: Iterable[Port]) -> bool:
        """Whether one of the ports is taken on every address: no other packing could help."""
        single = [port for port in ports if port[1] == port[2]]
        return any(not any(taken.free([port]) for taken in self._taken) for port in single)

    def taking(self, number: int, ports: Iterable[Port]) -> "Shared":
        """With the ports taken on that address; one behind the last is a new one. This one stays
        as it is: whoever only tries keeps it."""
        other = Shared()
        other._taken = [*self._taken]
        if number == len(self._taken):
            other._taken.append(_Taken())
        else:
            other._taken[number] = self._taken[number].copy()
        other._taken[number].take(ports)
        return other


class _Taken:
    """Ports of one address: single ones in a set, ranges in a list."""

    def __init__(self) -> None:
        self._single: set[tuple[str, int]] = set()
        self._ranges: list[Port] = []

    def copy(self) -> "_Taken":
        other = _Taken()
        other._single, other._ranges = self._single.copy(), self._ranges.copy()
        return other

    def take(self, ports: Iterable[Port]) -> None:
        for protocol, first, last in ports:
            if first == last:
                self._single.add((protocol, first))
            else:
                self._ranges.append((protocol, first, last))

    def free(self, ports: Iterable[Port]) -> bool:
        return not any(self._clash(*port) for port in ports)

    def _clash(self, protocol: str, first: int, last: int) -> bool:
        if first == last and (protocol, first) in self._single:
            return True
        if any(p == protocol and a <= last and first <= b for p, a, b in self._ranges):
            return True
        return first != last and any(p == protocol and first <= a <= last for p, a in self._single)
