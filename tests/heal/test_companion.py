"""Two processes that end together, whichever ends first and however."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from metal.drivers.companion import Companion
from metal.model.errors import Failed

PATIENCE = 60.0


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A workspace that takes long: `metal watch` in it looks on and on."""
    root = Path(__file__).resolve().parents[2]
    for part in ("profiles", "inventory.toml"):
        (tmp_path / part).symlink_to(root / part)
    return tmp_path


def beside(fleet: Path, ended: Callable[[], None], **more: float) -> Companion:
    return Companion("the watcher", ["-C", str(fleet), "watch", "--place", "here"], ended, **more)


def test_it_is_told_to_end_and_does(fleet: Path) -> None:
    ended = threading.Event()
    with beside(fleet, ended.set) as other:
        assert os.getpgid(other.pid) == os.getpgid(0)
    assert not Path(f"/proc/{other.pid}").exists()
    assert not ended.is_set(), "nobody is told of an end that was asked for"
    other.check()


def test_one_that_does_not_end_is_killed(fleet: Path) -> None:
    with beside(fleet, lambda: None, patience=0.01) as other:
        os.kill(other.pid, signal.SIGSTOP)
    assert not Path(f"/proc/{other.pid}").exists()


def test_its_death_is_told(fleet: Path) -> None:
    ended = threading.Event()
    with beside(fleet, ended.set) as other:
        os.kill(other.pid, signal.SIGKILL)
        assert ended.wait(PATIENCE)
        with pytest.raises(Failed, match="the watcher ended by SIGKILL"):
            other.check()


def test_what_cannot_even_begin_is_told(tmp_path: Path) -> None:
    ended = threading.Event()
    with beside(tmp_path / "nothing", ended.set) as other:
        assert ended.wait(PATIENCE)
        with pytest.raises(Failed, match="the watcher ended with exit code 2"):
            other.check()
