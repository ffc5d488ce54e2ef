"""Makes what stands beside this file importable: `from heal_fleet import …`."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metal.operations.store import open_store

for _name in ("heal_fleet", "heal_bench", "heal_watched"):
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).with_name(f"{_name}.py"))
    assert _spec and _spec.loader
    sys.modules[_name] = _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)


@pytest.fixture
def bench(lab: Any, tmp_path: Path) -> Iterator[Any]:
    """A formed cluster and a store: tests/heal/heal_bench.py."""
    with open_store("sqlite", tmp_path / "state") as store:
        yield sys.modules["heal_bench"].Bench(lab, store)
