"""A small sound inventory that tests break in one place at a time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metal.inventory import InventoryErrors, Mistake, load

BASE = Path(__file__).with_name("base.toml").read_text()


@pytest.fixture
def base() -> str:
    return BASE


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "inventory.toml").write_text(BASE)
    return tmp_path


@pytest.fixture
def mistakes(tmp_path: Path) -> Callable[[str], tuple[Mistake, ...]]:
    """What is wrong in the text of an inventory.toml."""

    def find(text: str) -> tuple[Mistake, ...]:
        (tmp_path / "inventory.toml").write_text(text)
        try:
            load(tmp_path)
        except InventoryErrors as errors:
            return errors.mistakes
        return ()

    return find
