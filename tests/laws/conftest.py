"""Makes the builders beside this file importable: `from small_fleet import …`."""

import importlib.util
import sys
from pathlib import Path


def _importable(name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


for _name in ("small_fleet", "lawbook", "whole_worlds"):
    _importable(_name)
