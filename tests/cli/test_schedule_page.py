"""What docs/schedule.md shows is what the commands print in examples/charity."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```\n\$ (metal .*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LEFT_OUT = "…\n"
"""At the end of what is shown: more follows."""
SHOWN = FENCE.findall((ROOT / "docs" / "schedule.md").read_text())


def test_the_page_shows_commands() -> None:
    assert len(SHOWN) >= 8


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[c for c, _ in SHOWN])
def test_the_page_shows_what_is_printed(
    metal: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    output: str,
) -> None:
    shutil.copytree(ROOT / "examples" / "charity", tmp_path / "charity")
    monkeypatch.chdir(tmp_path / "charity")
    said = metal(*shlex.split(command)[1:])
    if output.endswith(LEFT_OUT):
        assert said.out.startswith(output.removesuffix(LEFT_OUT))
    else:
        assert said.out == output
