"""Memory under stressapptest: threads that copy and check nearly all that is free."""

import re
from pathlib import Path
from typing import Any

from .programs import run

SPARED_MIB = 192
"""Left for the kernel, the agent and the network."""
SPARED_SHARE = 0.06
AT_LEAST_SECONDS = 10


def kib(name: str) -> int:
    """A line of /proc/meminfo."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def test(seconds: float) -> dict[str, Any]:
    """{"tool", "seconds", "mib", "total_mib", "errors", "said"}, or {"why"}."""
    free = kib("MemAvailable") // 1024
    mib = int(free - max(SPARED_MIB, SPARED_SHARE * free))
    length = max(AT_LEAST_SECONDS, round(seconds))
    done = run(["stressapptest", "-s", str(length), "-M", str(mib), "-W"], length * 3 + 300)
    errors = incidents(done.out)
    if errors is None:
        return {"why": f"stressapptest: {done.said}"}
    return {
        "tool": "stressapptest",
        "seconds": length,
        "mib": mib,
        "total_mib": kib("MemTotal") // 1024,
        "errors": errors,
        "said": [x for x in done.out.splitlines() if "Error" in x or "miscompare" in x][:20],
    }


def incidents(text: str) -> int | None:
    """Hardware incidents as it counts them; None when it did not come to its end."""
    found = re.search(r"Found (\d+) hardware incidents", text)
    if found is None or "Status: " not in text:
        return None
    return max(int(found[1]), 1 if "Status: FAIL" in text else 0)
