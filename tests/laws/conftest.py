"""Makes the builders beside this file importable: `from small_fleet import …`."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "small_fleet", Path(__file__).with_name("small_fleet.py")
)
assert _spec and _spec.loader
_module = importlib.util.module_from_spec(_spec)
sys.modules["small_fleet"] = _module
_spec.loader.exec_module(_module)
