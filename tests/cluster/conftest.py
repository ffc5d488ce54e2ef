"""The Proxmox double on loopback."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LAB = Path(__file__).parents[1] / "proxmox_driver" / "lab.py"


def _lab_module() -> Any:
    spec = importlib.util.spec_from_file_location("proxmox_lab", LAB)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Any]:
    """Installed nodes, no cluster yet; a lab second is a three-hundredth of a real one."""
    made = _lab_module().Lab(tmp_path / "certificates", speed=300)
    made.datacenter.start()
    yield made
    made.datacenter.stop()
