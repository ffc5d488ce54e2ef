"""Makes the builders beside this file importable: `from ha_rack import …`."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("ha_rack", Path(__file__).with_name("ha_rack.py"))
assert _spec and _spec.loader
_module = importlib.util.module_from_spec(_spec)
sys.modules["ha_rack"] = _module
_spec.loader.exec_module(_module)
