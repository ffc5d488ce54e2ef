"""Signs of a server that is about to fail, in what BMCs and Ceph complain of. Pure.

BMCs call most of these a mere warning. The words are those of Redfish and IPMI sensors (power
supply, fan, temperature, memory), of drives' SMART verdicts and of Ceph's health checks.
"""

import re
from collections.abc import Iterable

SLOW_DISK = "slow disk"
_OTHERS = r"psu ?\d*|ps\d|power suppl(y|ies)|fan ?\d*|dimm\w*|memory|(un)?correctable"
"""Parts that are no drive: of each of these, too, BMCs say that its failure is predicted."""
_KINDS: tuple[tuple[str, str], ...] = (
    (
        "power supply",
        r"\b(psu ?\d*|power suppl(y|ies)|ps\d)\b.*"
        r"\b(fail|predict|lost|loss|no input|absent|off|critical)",
    ),
    ("redundancy", r"\bredundancy\b.*\b(lost|degraded)|\bnon-redundant\b"),
    (
        "memory",
        r"\b(uncorrectable|ecc|correctable)\b|\bdimm\b.*\b(fail|error|disabled)|"
        r"\b(dimm\w*|memory)\b.*\bpredict",
    ),
    (
        "temperature",
        r"\b(temp(erature)?|inlet|overheat\w*|thermal)\b.*\b(critical|upper|trip|high)",
    ),
    ("fan", r"\bfan\d*\b.*\b(fail|predict|stopp?ed|critical|lower|absent|0 rpm)"),
    (
        "drive",
        rf"^(?!.*\b({_OTHERS})\b).*\bpredict|\bsmart\b.*\bfail|"
        r"\b(drive|disk)\b.*\b(fail|predict|rebuild|critical)",
    ),
    (SLOW_DISK, r"\bslow (ops|op)\b|BLUESTORE_SLOW_OP|BLUEFS_SPILLOVER|OSD_SLOW"),
)
SIGNS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _KINDS)


def signs(reasons: Iterable[str]) -> tuple[str, ...]:
    """The kinds of trouble that these complaints tell of, each once, in the table's order."""
    said = list(reasons)
    return tuple(kind for kind, pattern in SIGNS if any(pattern.search(text) for text in said))
