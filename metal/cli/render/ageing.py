"""Upgrades and replacements as people read them."""

from collections.abc import Mapping, Sequence

from metal.cli.render.hang import hanging
from metal.model.hypervisor import NEXT, Checked


def checklist_lines(told: Mapping[str, Checked], width: int = 80) -> list[str]:
    lines: list[str] = []
    for server, found in told.items():
        if found.there:
            lines.append(f"{server}: it runs Proxmox VE {NEXT} already")
            continue
        lines.append(f"{server}: {len(found.fail)} FAIL, {len(found.warn)} WARN")
        for mark, texts in (("FAIL", found.fail), ("WARN", found.warn)):
            lines += [line for text in texts for line in hanging(f"  {mark}  ", text, width)]
    return lines


def versions_lines(versions: Mapping[str, str]) -> list[str]:
    return [f"{server}: Proxmox VE {version}" for server, version in sorted(versions.items())]


def recipe_lines(steps: Sequence[str], width: int = 80) -> list[str]:
    return [line for step in steps for line in hanging("- ", step, width)]
