"""Processors as VMs see them: what type a server can offer, and what servers have in common.

A VM that moves live must find the same processor: QEMU gives it a named type, and each server
must have all of that. Types of one maker come in generations, each with all of the one before
(save for what microcode took away again, such as TSX).
"""

import re
from collections.abc import Iterable

LEVELS = ("kvm64", "x86-64-v2", "x86-64-v2-AES", "x86-64-v3", "x86-64-v4")
"""As Proxmox names them, each with all of the one before."""
DEFAULT = "x86-64-v2-AES"
"""What a VM gets that asks for nothing."""
HOST = "host"
"""The server's own processor as it is: a VM with it moves live between equal servers only."""

INTEL = (
    ("Nehalem", "x86-64-v2"),
    ("Westmere", "x86-64-v2-AES"),
    ("SandyBridge", "x86-64-v2-AES"),
    ("IvyBridge", "x86-64-v2-AES"),
    ("Haswell", "x86-64-v3"),
    ("Broadwell", "x86-64-v3"),
    ("Skylake-Server", "x86-64-v4"),
    ("Cascadelake-Server", "x86-64-v4"),
    ("Icelake-Server", "x86-64-v4"),
    ("SapphireRapids", "x86-64-v4"),
)
AMD = (
    ("Opteron_G3", "kvm64"),
    ("Opteron_G4", "x86-64-v2-AES"),
    ("Opteron_G5", "x86-64-v2-AES"),
    ("EPYC", "x86-64-v3"),
    ("EPYC-Rome", "x86-64-v3"),
    ("EPYC-Milan", "x86-64-v3"),
    ("EPYC-Genoa", "x86-64-v4"),
)
"""(QEMU's name, the level it has), oldest first."""
TYPES = (*LEVELS, *(name for name, _ in (*INTEL, *AMD)), HOST)

MODELS = (
    (r"Xeon.*\b[EXLW]55\d\d|Xeon.*\b[EX][67]5\d\d", "Nehalem"),
    (r"Xeon.*\b[EXLW]56\d\d|Xeon.*\bE7-[248]8\d\d\b(?! v)", "Westmere"),
    (r"Xeon.*\bE[357]-\d{4}[A-Z]? v2\b", "IvyBridge"),
    (r"Xeon.*\bE[357]-\d{4}[A-Z]? v3\b", "Haswell"),
    (r"Xeon.*\bE[357]-\d{4}[A-Z]? v[456]\b|Xeon.*\bD-15\d\d|Xeon.*\bE-2[123]\d\d", "Broadwell"),
    (r"Xeon.*\bE[35]-\d{4}[A-Z]?\b(?! v)", "SandyBridge"),
    (r"Xeon.*(Bronze|Silver|Gold|Platinum) \d1\d\d|Xeon.*\bD-21\d\d", "Skylake-Server"),
    (r"Xeon.*(Bronze|Silver|Gold|Platinum) (\d2\d\d|\d3\d\dHL?\b)", "Cascadelake-Server"),
    (r"Xeon.*(Bronze|Silver|Gold|Platinum) \d3\d\d|Xeon.*\bD-[12]7\d\d", "Icelake-Server"),
    (r"Xeon.*(Bronze|Silver|Gold|Platinum) \d[45]\d\d", "SapphireRapids"),
    (r"Opteron.*\b(61|41|23|24|83|84)\d\d\b", "Opteron_G3"),
    (r"Opteron.*\b(62|42|32)\d\d\b", "Opteron_G4"),
    (r"Opteron.*\b(63|43|33)\d\d\b", "Opteron_G5"),
    (r"EPYC 7[\dF]\d1", "EPYC"),
    (r"EPYC 7[\dFH]\d2", "EPYC-Rome"),
    (r"EPYC 7[\dF]\d3", "EPYC-Milan"),
    (r"EPYC [89]\d\d[45]", "EPYC-Genoa"),
)
"""(what the name of the processor looks like, the newest type it can be), the first that fits."""
_MARKS = re.compile(r"\((R|TM|r|tm)\)|®|™")


def generation(model: str | None) -> str | None:
    """The newest named type that a processor of this name can be; None when nobody knows it."""
    plain = re.sub(r"\s+", " ", _MARKS.sub(" ", model or ""))
    return next((name for look, name in MODELS if re.search(look, plain)), None)


FLAGS = (
    ("x86-64-v2", {"cx16", "popcnt", "ssse3", "sse4_1", "sse4_2"}),
    ("x86-64-v2-AES", {"aes"}),
    ("x86-64-v3", {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}),
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
)
"""(level, the flags it adds to the one before), as Linux names them in /proc/cpuinfo."""


def level_of(flags: Iterable[str]) -> str | None:
    """The newest level that a processor with these flags can be; None when they are not told."""
    has, found = set(flags), LEVELS[0]
    for level, needed in FLAGS:
        if not needed <= has:
            break
        found = level
    return found if has else None


def offers(newest: str | None) -> frozenset[str] | None:
    """Every type that a server can give its VMs whose newest is this one; None for unknown."""
    for family in (INTEL, AMD):
        names = [name for name, _ in family]
        if newest in names:
            at = names.index(newest)
            level = LEVELS.index(family[at][1])
            return frozenset({*names[: at + 1], *LEVELS[: level + 1], HOST})
    if newest in LEVELS:
        return frozenset({*LEVELS[: LEVELS.index(newest) + 1], HOST})
    return None


def runs(wanted: str | None, offered: frozenset[str] | None) -> bool:
    """Whether a VM that asks for a type may run there. What is asked for needs proof; what every
    VM gets unasked is only refused where the processor is known to lack it."""
    if wanted is None:
        return offered is None or DEFAULT in offered
    return wanted == HOST or (offered is not None and wanted in offered)


def newest_of(model: str | None, flags: Iterable[str]) -> str | None:
    """The newest type that a server can give, by its processor's name and flags: what the name
    promises and the flags lack (firmware and microcode take things away) is not there."""
    named, level = generation(model), level_of(flags)
    if named is None or level is None:
        return named or level
    offered = offers(named) or frozenset()
    promised = max(LEVELS.index(t) for t in LEVELS if t in offered)
    return named if LEVELS.index(level) >= promised else level


def common(newests: Iterable[str | None]) -> str | None:
    """The newest type that all of these servers can give; None where one is not known.

    A named type where all are of one maker, else a level.
    """
    offered = [offers(newest) for newest in newests]
    if not offered or None in offered:
        return None
    shared = frozenset.intersection(*(o for o in offered if o is not None)) - {HOST}
    ranked = [t for t in TYPES if t in shared]
    return ranked[-1] if ranked else None
