"""Whole fleets: the real command against a lab of its own."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from metal.lab import control
from metal.lab.topology import FACTORY_PASSWORD, FACTORY_USER

REPOSITORY = Path(__file__).resolve().parents[2]
SPEED = 60.0


@dataclass(frozen=True)
class Lab:
    """A running lab and the command in its workspace."""

    folder: Path

    def metal(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command(words), capture_output=True, text=True, env=_env())

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """The command in the background; whoever begins it ends it."""
        return subprocess.Popen(
            self._command(words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_env(),
        )

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "metal", "-C", str(self.folder), *words]

    @property
    def truth(self) -> dict[str, Any]:
        return control.status(self.folder).truth

    def steps_done(self) -> int:
        """Finished steps of the installs and cluster formations, as the journal has them."""
        file = self.folder / "state" / "metal.db"
        if not file.exists():
            return 0
        query = (
            "select count(*) from steps join operations on operations.id = steps.operation "
            "where steps.ended is not null and operations.kind in ('install', 'form')"
        )
        try:
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5) as database:
                return int(database.execute(query).fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # It is being made.

    def final_state(self) -> dict[str, Any]:
        """All that must come out the same, however often `metal` was killed on the way."""
        from metal.controller.workspace import Workspace

        truth = self.truth
        store = Workspace(self.folder).store
        try:
            return {
                "servers": {n: self._server(n, s) for n, s in truth["servers"].items()},
                "clusters": {
                    c["name"]: {
                        "members": c["members"],
                        "quorate": c["quorate"],
                        "monitors": c["ceph"]["monitors"],
                        "osds": sorted((o["node"], o["device"]) for o in c["ceph"]["osds"]),
                        "encrypted": all(o["encrypted"] for o in c["ceph"]["osds"]),
                        "pools": c["ceph"]["pools"],
                    }
                    for c in truth["clusters"].values()
                    if c["name"]
                },
                "vms": {
                    vm["name"]: {
                        "copies": vm["copies"],
                        "max_copies": vm["max_copies"],
                        "cards": {
                            k: v for k, v in vm["config"].items() if k.startswith("ipconfig")
                        },
                    }
                    for vm in truth["vms"]
                },
                "lives": {n: str(r.life) for n, r in store.servers.all().items()},
                "open operations": [
                    (o.kind, o.subject) for o in store.journal.list(open_only=True)
                ],
                "open plan": store.plans.current(),
            }
        finally:
            store.close()

    def _server(self, name: str, seen: dict[str, Any]) -> dict[str, Any]:
        installed = {d: s for d, s in seen["disks"].items() if s["system"]}
        return {
            "power": seen["power"],
            "systems": {d: s["system"] for d, s in installed.items()},
            "wipes": {d: s["wipes"] for d, s in seen["disks"].items()},
            "escrowed": [s["luks"] == [self.escrowed_key(name)] for s in installed.values()],
        }

    def escrowed_key(self, server: str) -> str:
        """SHA-256 of the disk key that an administrator finds in escrow."""
        import pyrage

        identity = (self.folder / "lab" / "administrator.key").read_text().strip()
        sealed = (self.folder / "secrets" / "disk" / f"{server}.age").read_bytes()
        opened = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity)])
        return hashlib.sha256(opened).hexdigest()


def _env() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "http_proxy": "http://127.0.0.1:9",  # a proxy that leads nowhere: what is here needs none
        "METAL_BMC_USER": FACTORY_USER,
        "METAL_BMC_PASSWORD": FACTORY_PASSWORD,
    }


@contextmanager
def running(source: Path, folder: Path, *, enrolled: bool = True) -> Iterator[Lab]:
    """A lab of the workspace `source`; ended with the block."""
    control.up(source, folder, speed=SPEED)
    try:
        lab = Lab(folder)
        if enrolled:
            done = lab.metal("enroll", "--all")
            assert done.returncode == 0, done.stderr
        yield lab
    finally:
        control.down(folder)


@pytest.fixture(scope="session")
def enrolled_fleet() -> Callable[[Path], AbstractContextManager[Lab]]:
    """Makes labs of the repository's own fleet in the folder given."""
    return lambda folder: running(REPOSITORY, folder / "lab")


@pytest.fixture
def fleet(
    enrolled_fleet: Callable[[Path], AbstractContextManager[Lab]], tmp_path: Path
) -> Iterator[Lab]:
    """The repository's own fleet of ten, enrolled."""
    with enrolled_fleet(tmp_path) as lab:
        yield lab


KEPT = {
    "sites": ("lisbon",),
    "clusters": ("alba",),
    "servers": ("alba1", "alba2", "alba3"),
    "vms": ("lists", "www", "metrics"),
}


@pytest.fixture
def trio(first_site: Path, tmp_path: Path) -> Iterator[Lab]:
    """One cluster of three with three VMs: the fleet's first site alone; enrolled."""
    with running(first_site, tmp_path / "lab") as lab:
        yield lab


@pytest.fixture
def pallet(first_site: Path, tmp_path: Path) -> Iterator[Lab]:
    """The same three servers, and nobody has enrolled them."""
    with running(first_site, tmp_path / "lab", enrolled=False) as lab:
        yield lab


@pytest.fixture
def first_site(tmp_path: Path) -> Path:
    """An inventory of the fleet's first site alone, with three VMs."""
    source = tmp_path / "source"
    source.mkdir()
    document: Any = tomlkit.parse((REPOSITORY / "inventory.toml").read_text())
    for table, kept in KEPT.items():
        for name in [name for name in document[table] if name not in kept]:
            del document[table][name]
    for server in document["servers"].values():
        server["bmc"]["timeout"] = 1.0  # The lab's BMCs answer at once or not at all.
    (source / "inventory.toml").write_text(tomlkit.dumps(document))
    return source
