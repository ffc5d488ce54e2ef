"""Makes the builders beside this file importable: `from heal_fleet import …`."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "heal_fleet", Path(__file__).with_name("heal_fleet.py")
)
assert _spec and _spec.loader
_module = importlib.util.module_from_spec(_spec)
sys.modules["heal_fleet"] = _module
_spec.loader.exec_module(_module)
