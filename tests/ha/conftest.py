"""Makes the builders beside this file importable: `from ha_rack import …`."""

import importlib.util
import sys
from pathlib import Path

for _name in ("ha_rack", "ha_watch"):
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).with_name(f"{_name}.py"))
    assert _spec and _spec.loader
    _module = importlib.util.module_from_spec(_spec)
    sys.modules[_name] = _module
    _spec.loader.exec_module(_module)
