"""`python -m metal.lab.storms`: many seeds, a line each; the first that breaks a law is replayed.

A seed always makes the same storm: METAL_SEED=N (or --seed N) shows what happened in it.
"""

import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click

from metal.lab.storms.storm import HOUR, Report, Storm

FAST = Path("/dev/shm")


def one(seed: int, days: float, watchers: int, hours: float) -> Report:
    """The storm of one seed, on a store in memory."""
    base = FAST if FAST.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="metal-storm-", dir=base))
    try:
        return Storm(folder, seed, days=days, watchers=watchers, every=hours * HOUR).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@click.command()
@click.option("--runs", default=20, help="How many seeds.")
@click.option("--first", default=0, help="The first of them.")
@click.option("--days", default=30.0, help="Of weather, each.")
@click.option("--every", "hours", default=6.0, help="Hours between two faults on average.")
@click.option("--watchers", default=2)
@click.option("--jobs", default=1, help="Processes at once.")
@click.option("--seed", type=int, envvar="METAL_SEED", help="Only this one, with all it did.")
def main(
    runs: int, first: int, days: float, hours: float, watchers: int, jobs: int, seed: int | None
) -> None:
    if seed is not None:
        report = one(seed, days, watchers, hours)
        for at, who, what in report.log:
            print(f"{at:>10.0f}  {who:<10} {what}")
        _tell(report)
        sys.exit(1 if report.broken else 0)
    began, broken = time.monotonic(), []
    totals = [0, 0, 0]
    with ProcessPoolExecutor(jobs) as pool:
        seeds = range(first, first + runs)
        for report in pool.map(one, seeds, [days] * runs, [watchers] * runs, [hours] * runs):
            totals = [
                totals[0] + report.faults, totals[1] + report.fenced, totals[2] + report.incidents
            ]  # fmt: skip
            if report.broken:
                broken.append(report)
            _tell(report)
    spent = time.monotonic() - began
    print(
        f"{runs} storms of {days:g} days: {totals[0]} faults, {totals[1]} servers fenced, "
        f"{totals[2]} incidents, {len(broken)} laws broken, in {spent:.0f} s"
    )
    sys.exit(1 if broken else 0)


def _tell(report: Report) -> None:
    verdict = f"BROKEN: {report.broken}" if report.broken else "all laws held"
    print(
        f"seed {report.seed}: {report.faults} faults, {report.rounds} rounds, {report.fenced} "
        f"fenced, {report.incidents} incidents, {report.by_hand} VMs started by hand, down at most "
        f"{report.longest:.0f} s: {verdict}",
        flush=True,
    )


if __name__ == "__main__":
    main()
