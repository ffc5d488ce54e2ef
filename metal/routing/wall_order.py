"""What is to become of the firewalls before a site's VMs; what was agreed to, no choices left."""

from collections.abc import Iterator

from metal.model.base import Frozen
from metal.model.walls import CLOSED, SeenWall, WallRule
from metal.routing.order import Call


class WallOrder(Frozen):
    """What is done to the firewall of one VM."""

    vm: str
    cluster: str
    vmid: int
    rules: tuple[WallRule, ...]
    """All of ours that it has afterwards."""
    before: SeenWall
    calls: tuple[Call, ...] = ()
    """What of it was answered before, as seen from here."""

    @property
    def pending(self) -> bool:
        return any(self.changes())

    @property
    def kept(self) -> tuple[str, ...]:
        """Comments of the rules that stay."""
        return tuple(rule.comment for rule in self.rules)

    def changes(self) -> Iterator[str]:
        """Rule by rule, as Proxmox writes them."""
        there = [rule for rule in self.before.rules if rule.right]
        for rule in self.rules:
            found = next((one for one in there if one.comment == rule.comment), None)
            if found is None:
                yield f"+ {rule.line}"
            elif not found.enabled:
                yield f"+ {rule.line}  (it is there and off)"
        kept = set(self.kept)
        for one in self.before.rules:
            if one.right and one.comment in kept:
                kept.discard(one.comment)
                continue
            why = "" if one.right else "  (somebody changed it)"
            yield f"- {one.comment}{why}"
        for key, value in CLOSED.model_dump().items():
            was = getattr(self.before.options, key)
            if was != value:
                yield f"{key}: {_word(was)} → {_word(value)}"

    @property
    def edited(self) -> tuple[str, ...]:
        """Options that a person set to something else."""
        options = self.before.options.model_dump().items()
        return tuple(
            f"{self.vm}: {key} {_word(was)}"
            for key, was in options
            if was is not None and was != getattr(CLOSED, key)
        )


class WallsOrder(Frozen):
    """The whole of what is done at one site."""

    site: str
    walls: tuple[WallOrder, ...]
    """Those of which something is changed."""
    right: int = 0
    """How many are as they should be."""
    clusters: tuple[str, ...] = ()
    """Those whose own firewall is turned on."""
    calls: tuple[Call, ...] = ()
    """All that was answered before, of all VMs there."""
    trial: float = 60.0

    @property
    def subject(self) -> str:
        return subject_of(self.site)

    @property
    def pending(self) -> bool:
        return bool(self.walls or self.clusters)

    @property
    def edited(self) -> tuple[str, ...]:
        return tuple(one for wall in self.walls for one in wall.edited)


def subject_of(site: str) -> str:
    """As the folder that `metal network render` fills."""
    return f"{site}/firewall"


def _word(value: object) -> str:
    if value is None:
        return "not set"
    return str(int(value)) if isinstance(value, bool) else str(value)
