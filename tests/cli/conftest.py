"""The command, in this process and as a real one, in workspaces of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from metal.cli import main

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Metal = Callable[..., Said]


@pytest.fixture
def metal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Metal:
    """`metal("plan", "-o", "json")` in this process; 80 columns, no credentials about."""
    for name in ("METAL_BMC_USER", "METAL_BMC_PASSWORD", "METAL_WORKSPACE", "METAL_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: str) -> Said:
        capsys.readouterr()
        code = main(list(words))
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run


def process(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "metal", *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "80", **environment},
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A copy of the repository's own."""
    folder = tmp_path / "fleet"
    for part in ("profiles", "pxe", "preseed"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copy(ROOT / "inventory.toml", folder)
    return folder


@pytest.fixture
def looked(workspace: Path, recorded: ModuleType) -> Path:
    """The workspace with a recorded look in its state."""
    from metal.controller.workspace import Workspace

    with Workspace.open(workspace).store as store:
        store.looks.save(recorded.world(recorded.inventory()).model_dump_json())
    return workspace


@pytest.fixture
def real() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command as a process of its own."""
    return process
