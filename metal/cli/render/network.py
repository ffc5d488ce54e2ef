"""The network's files, what engines say of them, and the IPv6 plan."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from metal.cli.render.hang import hanging
from metal.controller.networking import Change, Verdict
from metal.network.ipv6 import SitePlan
from metal.network.renumber import Renumbering, Step


def change_lines(
    changes: Sequence[Change], folder: Path, width: int, *, diff: bool = False
) -> list[str]:
    """Each file that is or would be touched; with `diff` what would change in it."""
    if diff:
        return [line for change in changes for line in change.diff]
    lines = [f"{c.state:<8}{c.path}" for c in changes if c.state != "same"]
    same = sum(c.state == "same" for c in changes)
    return [*lines, f"{len(changes) - same} of {len(changes)} files changed in {folder}"]


def verdict_lines(verdicts: Sequence[Verdict], width: int) -> list[str]:
    """A line an engine; then what is wrong, file by file."""
    lines: list[str] = []
    engines = sorted({v.engine for v in verdicts})
    for engine in engines:
        mine = [v for v in verdicts if v.engine == engine]
        wrong, open_ = sum(bool(v.wrong) for v in mine), sum(bool(v.unjudged) for v in mine)
        said = f"{wrong} wrong" if wrong else "not judged" if open_ else "right"
        lines.append(f"{engine:<12}{len(mine):>4} files  {said}")
    for verdict in verdicts:
        if verdict.wrong:
            lines += ["", f"{verdict.path}:"]
            lines += [f"  {line}" for line in verdict.wrong.splitlines()]
    for why in sorted({v.unjudged for v in verdicts if v.unjudged}):
        lines += ["", *hanging("", why, width)]
    return lines


def ipv6_lines(plans: Sequence[SitePlan], changes: Sequence[Renumbering], width: int) -> list[str]:
    lines: list[str] = []
    for plan in plans:
        lines += ["", f"{plan.site}:"] if lines else [f"{plan.site}:"]
        for text in _plan(plan):
            lines += hanging("  ", text, width)
    for change in changes:
        lines += ["", f"{change.site} changes from {change.old} to {change.new}:"]
        for number, step in enumerate(change.steps, 1):
            lines += _step(number, step, width)
    return lines


def _plan(plan: SitePlan) -> Iterator[str]:
    for prefix in plan.prefixes:
        inside = "" if prefix.routed else ": unique local, nobody outside reaches it"
        yield f"{prefix.use} {prefix.network}{inside}"
    yield "; ".join(f"{kind} {network}" for kind, network in plan.networks.items())
    if plan.zones:
        yield f"reverse {', '.join(plan.zones)}"


def _step(number: int, step: Step, width: int) -> Iterator[str]:
    done = " (done)" if step.done else ""
    yield from hanging(f"  {number}. ", step.what + done, width)
    for line in step.how:
        yield f"     {line}"
    if step.wait:
        yield f"     {_span(step.wait)} at least"


def _span(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    return f"{days} days" if days and not rest else f"{seconds // 3600} hours"
