"""What tests of several parts share: the recorded fleet, the Proxmox double, golden files."""

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Nothing is judged by seconds: a law that holds slowly on a busy machine holds. The same cases
# each time, so that a change is judged and not chance; `make laws` draws others.
settings.register_profile(
    "metal", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("others", settings.get_profile("metal"), derandomize=False)
settings.load_profile("metal")

HERE = Path(__file__).resolve().parent


def _module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def recorded() -> ModuleType:
    """tests/tui/recorded_fleet.py."""
    return _module(HERE / "tui" / "recorded_fleet.py")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    """A PostgreSQL of its own on a Unix socket: `.database()` is the URL of a new, empty one."""
    yield from _module(HERE / "operations" / "postgresql.py").throw_away()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Any]:
    """The Proxmox double: installed nodes, no cluster yet, a clock 300 times as fast."""
    made = _module(HERE / "proxmox_driver" / "lab.py").Lab(tmp_path / "certificates", speed=300)
    made.datacenter.judging = True
    made.datacenter.start()
    yield made
    made.datacenter.stop()
    assert not made.datacenter.misstated, "the double tells what Proxmox would not"


@pytest.fixture
def libvirt_bed(tmp_path: Path) -> Iterator[Any]:
    """Three hosts of libvirt's test driver: tests/hypervisor/libvirt_bed.py."""
    pytest.importorskip("libvirt", reason="needs libvirt-python: pip install 'metal[libvirt]'")
    made = _module(HERE / "hypervisor" / "libvirt_bed.py").TestDriverBed(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Three servers in namespaces with real libvirtd, QEMU and IPMI; skips, saying why not.

    Their workspace is the folder above `trio.folder`.
    """
    from metal.lab.namespaces import Trio, workspace
    from metal.lab.namespaces.trio import why_not
    from metal.model.errors import MetalError

    pytest.importorskip("libvirt", reason="needs libvirt-python: pip install 'metal[libvirt]'")
    if reason := why_not():
        pytest.skip(reason)
    try:
        folder = workspace.up(tmp_path_factory.mktemp("trio") / "work").folder
    except MetalError as error:
        if "apt" not in error.what:
            raise
        pytest.skip(f"no guest: {error.what}")
    yield Trio.of(folder / workspace.LAB)
    workspace.down(folder)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare with golden/NAME beside the test; METAL_GOLDEN=1 writes it. No line beyond 80."""

    def compare(name: str, text: str) -> None:
        file = request.path.parent / "golden" / name
        if os.environ.get("METAL_GOLDEN") == "1":
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8")
        assert all(len(line) <= 80 for line in text.splitlines())

    return compare
