"""Fetch the job, do it, tell what was found."""

import sys
import traceback
from pathlib import Path
from typing import Any

from . import burnin, image, network, wipe
from .talk import Gone, Talk

KINDS = {"burnin": burnin.perform, "wipe": wipe.perform, "image": image.perform}
RESTART = 10
"""Exit code: what was installed is to boot."""


def arguments(line: str) -> dict[str, str]:
    """The kernel's arguments that begin with "metal.": name → value."""
    words = (word.partition("=") for word in line.split() if word.startswith("metal."))
    return {name.removeprefix("metal."): value for name, _, value in words}


def perform(talk: Talk, told: dict[str, str]) -> int:
    try:
        job = talk.job()
    except Gone as error:
        print(f"metal: there is nothing to do: {error}", flush=True)
        return 3
    said: dict[str, Any] = {"ok": True}
    try:
        KINDS[job["kind"]](job, talk, told)
    except Exception as error:
        traceback.print_exc()
        said = {"ok": False, "why": f"{type(error).__name__}: {error}"[:500]}
    talk.end(said)
    return RESTART if said["ok"] and job["kind"] == "image" else 0


def main() -> int:
    told = arguments(Path("/proc/cmdline").read_text())
    if not network.bring_up(told["mac"], told["address"], told["gateway"], told.get("vlan", "")):
        print(f"metal: no network card has the address {told['mac']}", flush=True)
        return 4
    return perform(Talk(told["url"], told["job"]), told)


if __name__ == "__main__":
    sys.exit(main())
