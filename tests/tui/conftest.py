"""The recorded fleet, and golden files."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def recorded() -> ModuleType:
    """tests/tui/recorded_fleet.py."""
    spec = importlib.util.spec_from_file_location("recorded_fleet", HERE / "recorded_fleet.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare with tests/tui/golden/NAME; METAL_GOLDEN=1 writes it."""

    def compare(name: str, text: str) -> None:
        file = HERE / "golden" / name
        if os.environ.get("METAL_GOLDEN") == "1":
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8")

    return compare
