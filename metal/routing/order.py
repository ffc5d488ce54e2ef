"""What is to become of the files of a site's gateways, and what may not be overwritten unasked.

A gateway keeps beside its files a list of what metal put there last (MANIFEST). What is neither
that, nor as Debian's packages brought it, somebody changed by hand.
"""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

from metal.model.base import Frozen

MANIFEST = "/var/lib/metal/rendered.sha256"
"""Lines of `sha256sum`."""
FORMER = "/var/lib/metal/former"
"""The files that were there before, by their whole paths: `cp -a` brings them back."""
State = Literal["new", "changed", "gone", "edited"]
"""edited: it says something else than wanted, and metal did not write what it says."""


class FileChange(Frozen):
    """What becomes of one file of a gateway."""

    path: str
    """Absolute."""
    state: State
    before: str | None
    after: str | None
    """None: it is not there."""

    def diff(self) -> list[str]:
        was, is_ = (
            self.path if text is not None else "/dev/null" for text in (self.before, self.after)
        )
        old, new = (self.before or "").splitlines(), (self.after or "").splitlines()
        return list(difflib.unified_diff(old, new, was, is_, lineterm=""))


class Seen(Frozen):
    """A gateway as it was found."""

    files: dict[str, str]
    """Absolute path → text, the manifest among them."""
    packaged: tuple[str, ...] = ()
    """Paths of those that are as a package brought them."""
    carries: bool = False
    """Whether it holds the shared addresses."""


class GatewayOrder(Frozen):
    """What is done to one gateway."""

    name: str
    address: str
    """At which it is logged in to."""
    changes: tuple[FileChange, ...]
    files: dict[str, str | None]
    """All that is written: absolute path → text, None to remove it."""
    wanted: tuple[str, ...]
    """Every path of metal's that it has afterwards."""


class Call(Frozen):
    """A TCP port that answers to the world."""

    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


class Order(Frozen):
    """The whole of what is done at one site; what was agreed to, and no choices left."""

    site: str
    gateways: tuple[GatewayOrder, ...]
    """In the order in which they are changed; who carries the site comes last."""
    pair: dict[str, str]
    """Every gateway there is → where it is logged in to."""
    shared: str
    """The address that who carries the site has."""
    calls: tuple[Call, ...] = ()
    """What was answered before, as seen from here, and is promised still."""
    trial: float = 60.0
    """Seconds after which a gateway takes its former files back."""

    @property
    def edited(self) -> tuple[str, ...]:
        return tuple(
            f"{one.name}: {change.path}"
            for one in self.gateways
            for change in one.changes
            if change.state == "edited"
        )


class NamesOrder(Frozen):
    """The whole of what is done at the primary name server; what was agreed to."""

    server: GatewayOrder | None
    """None: it is as it should be."""
    vm: str
    address: str
    serials: dict[str, int]
    """Zone → the serial that it is to answer with."""
    trial: float = 60.0

    @property
    def edited(self) -> tuple[str, ...]:
        found = self.server.changes if self.server else ()
        return tuple(f"{self.vm}: {change.path}" for change in found if change.state == "edited")


def changes(wanted: Mapping[str, str], seen: Seen) -> tuple[FileChange, ...]:
    """What differs, by path. `wanted`: absolute path → text."""
    ours = listed(seen.files.get(MANIFEST, ""))
    found = []
    for path in sorted({*wanted, *ours}):
        before, after = seen.files.get(path), wanted.get(path)
        if before != after:
            found.append(
                FileChange(
                    path=path,
                    state=_state(path, before, after, ours, seen),
                    before=before,
                    after=after,
                )
            )
    return tuple(found)


def _state(
    path: str, before: str | None, after: str | None, ours: Mapping[str, str], seen: Seen
) -> State:
    if not before:  # an empty file holds nothing that anybody would miss
        return "edited" if path in ours else "new"
    if path not in seen.packaged and ours.get(path) != digest(before):
        return "edited"
    return "gone" if after is None else "changed"


def to_write(
    wanted: Mapping[str, str], found: Sequence[FileChange], seen: Seen
) -> dict[str, str | None]:
    """Every file of the trial: what changes, the former ones, and the new manifest."""
    files: dict[str, str | None] = {change.path: change.after for change in found}
    former = {p for p in seen.files if p.startswith(f"{FORMER}/")}
    files |= dict.fromkeys(sorted(former))
    files |= {f"{FORMER}{c.path}": c.before for c in found if c.before is not None}
    files[MANIFEST] = "".join(f"{digest(wanted[p])}  {p}\n" for p in sorted(wanted))
    return files


def listed(manifest: str) -> dict[str, str]:
    """Path → SHA-256."""
    lines = (line.split("  ", 1) for line in manifest.splitlines())
    return {parts[1]: parts[0] for parts in lines if len(parts) == 2}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
