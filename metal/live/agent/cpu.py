"""Processors under stress-ng, every result computed twice; heat and throttling watched."""

from typing import Any

from . import sensors
from .programs import run


def test(seconds: float) -> dict[str, Any]:
    """{"seconds", "failures", "throttled", "hottest", "critical", "said"}, or {"why"}; with
    "temperatures": the highest of every sensor."""
    length = max(5, round(seconds))
    before = sensors.throttles()
    with sensors.Watch() as watch:
        argv = [
            "stress-ng",
            "--cpu",
            "0",
            "--verify",
            "--timeout",
            f"{length}s",
            "--temp-path",
            "/tmp",
        ]
        done = run(argv, length * 3 + 300)
    after = sensors.throttles()
    heat = {"temperatures": list(watch.hottest.values())}
    wrong = failures(done.err + done.out)
    if done.code and not wrong and done.code != 2:
        return heat | {"why": f"stress-ng: {done.said}"}
    hottest, critical = watch.of_cpus()
    return heat | {
        "seconds": length,
        "failures": max(wrong, 1 if done.code == 2 else 0),
        "throttled": None if before is None or after is None else after - before,
        "hottest": hottest,
        "critical": critical,
        "said": [x for x in (done.err + done.out).splitlines() if "fail" in x][:20],
    }


def failures(text: str) -> int:
    """Lines in which a stressor says that a result was wrong."""
    return sum(1 for line in text.splitlines() if ": fail:" in line and "successful" not in line)
