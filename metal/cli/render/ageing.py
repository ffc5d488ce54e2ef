"""Upgrades and replacements as people read them."""

from collections.abc import Mapping, Sequence

from metal.cli.render.hang import hanging

Checks = Mapping[str, tuple[Sequence[str], Sequence[str]]]


def checklist_lines(told: Checks, width: int = 80) -> list[str]:
    lines: list[str] = []
    for server, (fails, warns) in told.items():
        lines.append(f"{server}: {len(fails)} FAIL, {len(warns)} WARN")
        for mark, texts in (("FAIL", fails), ("WARN", warns)):
            lines += [line for text in texts for line in hanging(f"  {mark}  ", text, width)]
    return lines


def checklist_data(told: Checks) -> dict[str, dict[str, Sequence[str]]]:
    return {server: {"fail": fails, "warn": warns} for server, (fails, warns) in told.items()}


def versions_lines(versions: Mapping[str, str]) -> list[str]:
    return [f"{server}: Proxmox VE {version}" for server, version in sorted(versions.items())]


def recipe_lines(steps: Sequence[str], width: int = 80) -> list[str]:
    return [line for step in steps for line in hanging("- ", step, width)]
