"""Memory modules as they are made, whatever a BMC counts them as. Pure."""

from collections.abc import Iterable

from metal.model.facts import Dimm, Facts

DIMM_SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256, 512)
"""GiB, as modules are made."""


def made_size(gib: float) -> int:
    """The module size that is meant: some BMCs tell 15.26 GiB of one of 16."""
    nearest = min(DIMM_SIZES, key=lambda size: abs(size - gib))
    return nearest if abs(nearest - gib) <= nearest * 0.08 else round(gib)


def installed_gib(dimms: Iterable[Dimm]) -> int:
    """The sum of the modules as they are made."""
    return sum(made_size(dimm.size_gib) for dimm in dimms)


def whole_dimms(facts: Facts | None) -> tuple[Dimm, ...] | None:
    """The memory modules; None if not all of them could be read: the others are not gone."""
    return None if facts is None or "dimms" in facts.unknown else facts.dimms


def modules_gib(facts: Facts) -> int | None:
    """GiB of all its modules together; None where not all of them are known."""
    dimms = whole_dimms(facts)
    return installed_gib(dimms) if dimms else None
