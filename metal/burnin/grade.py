"""Evidence → grade, verdict and reasons. Pure: the same evidence is graded the same for ever.

The grade is that of the worst mark. More faults never give a better one (a test holds it).
"""

from collections.abc import Iterable, Mapping
from typing import get_args

from metal.burnin.disks import disk_marks
from metal.burnin.missing import missing_marks
from metal.burnin.parts import part_marks
from metal.model.burnin import Appraisal, Evidence, Grade, Mark, Verdict

ORDER: tuple[Grade, ...] = get_args(Grade)
MANY_PARTS = 3
"""Parts to replace from which on it is no longer one repair."""


def appraise(
    evidence: Evidence,
    *,
    slots: Mapping[str, str] | None = None,
    usable_gib: float | None = None,
    fits: tuple[str | None, str] = (None, ""),
) -> Appraisal:
    """`slots`: disk serial → where it is; `usable_gib`: memory that VMs would have;
    `fits`: the cluster and why (metal/burnin/fits.py)."""
    marks = sorted(_marks(evidence, slots or {}), key=lambda mark: -worth(mark.grade))
    repair = tuple(dict.fromkeys(m.part for m in marks if worth(m.grade) >= worth("D")))
    grade = _worst(marks, repair)
    watts = evidence.bmc.watts if evidence.bmc else None
    return Appraisal(
        grade=grade,
        verdict=verdict(grade),
        marks=tuple(marks),
        repair=repair if verdict(grade) == "repair" else (),
        watts=watts,
        usable_gib=usable_gib,
        watts_per_gib=_each(watts, usable_gib),
        fits=fits[0],
        fits_why=fits[1],
    )


def worth(grade: Grade) -> int:
    """0 for the best; more is worse."""
    return ORDER.index(grade)


def verdict(grade: Grade) -> Verdict:
    if grade in ("A", "B", "C"):
        return "accept"
    if grade in ("D", "E"):
        return "repair"
    return "refuse" if grade == "F" else "unknown"


def _marks(evidence: Evidence, slots: Mapping[str, str]) -> Iterable[Mark]:
    yield from part_marks(evidence)
    yield from missing_marks(evidence)
    yield from disk_marks(evidence.disks or (), slots)


def _worst(marks: list[Mark], repair: tuple[str, ...]) -> Grade:
    worst: Grade = marks[0].grade if marks else "A"
    return "E" if worst == "D" and len(repair) >= MANY_PARTS else worst


def _each(watts: float | None, gib: float | None) -> float | None:
    return None if watts is None or not gib or gib <= 0 else round(watts / gib, 2)
