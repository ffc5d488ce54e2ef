"""A server gets another name, and all that is kept of it goes with it; killed anywhere, too."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metal.inventory import load
from metal.lab.machine import Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.web import self_signed
from metal.model.errors import Refused
from metal.model.life import Life

from .conftest import PASSWORD, REPOSITORY, USER, hardware

At = Callable[[Any], str]
MORE = """
[servers.far]
site = "porto"
rack = "B"
profile = "solo"
address = "127.77.1.77"
bmc = { address = "127.77.0.77", port = 1 }

[clusters.far]
servers = ["far"]   # far away
ceph = false

[tang.one]
url = "http://tang.example.org"
thumbprint = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
runs_on = "rio1"  # for now
"""


@pytest.fixture
def enrolled(fleet: Any, at: At) -> Any:
    """rio1, among others; its password was rotated once, and a comment stands above it."""
    bmc = fleet.redfish(11)
    assert fleet.metal("enroll", at(bmc), "--name", "rio1").returncode == 0
    assert fleet.metal("bmc", "rotate", "rio1").returncode == 0
    file = fleet.folder / "inventory.toml"
    text = fleet.text.replace("[servers.rio1]", "# The first one we got.\n[servers.rio1]  # old")
    file.write_text(text + MORE)
    (fleet.folder / "pins").mkdir()
    (fleet.folder / "pins" / "rio1").write_text("system ssh-ed25519 AAAA\n")
    return fleet


def everything(fleet: Any) -> dict[str, Any]:
    """What is kept, by the name it is kept under."""
    folders = ("secrets", "state/held", "pins")
    found = {
        f"{folder}/{f.relative_to(fleet.folder / folder)}": f.read_bytes()
        for folder in folders
        for f in (fleet.folder / folder).rglob("*")
        if f.is_file() and "bmc-next" not in f.parts and f.name[0] != "."
    }
    with fleet.workspace.store as store:
        found["facts"] = sorted(
            (n, r.body["serial"]) for n, r in store.records.all("facts").items()
        )
        found["lives"] = sorted((n, str(r.life)) for n, r in store.servers.all().items())
        found["open"] = store.journal.list(open_only=True)
    return found


def test_all_that_is_kept_goes_with_it(enrolled: Any) -> None:
    text, before = enrolled.text, everything(enrolled)
    said = enrolled.metal("server", "rename", "rio1", "buero-2")
    assert said.returncode == 0, said.stderr
    assert "rio1 is called buero-2 from now on" in said.stderr
    assert enrolled.text == text.replace("rio1", "buero-2"), "every other byte is as it was"
    after = everything(enrolled)
    assert "secrets/bmc/rio1.1.age" in before, "the older password, too"
    assert after["facts"] == [("buero-2", "7X3K9Q11")]
    assert after["lives"] == [("buero-2", "enrolled")] and after["open"] == []
    renamed = {k.replace("rio1", "buero-2"): v for k, v in before.items() if "/" in k}
    assert {k: v for k, v in after.items() if "/" in k} == renamed
    bmc = enrolled.bmcs[0]
    assert bmc.works("metal", enrolled.password("buero-2"))
    assert enrolled.metal("bmc", "audit", "buero-2").returncode in (0, 1)
    again = enrolled.metal("enroll", "buero-2")
    assert again.returncode == 0 and bmc.failed_logins == 0, again.stderr
    assert enrolled.metal("server", "rename", "rio1", "buero-2").returncode == 0, "done already"


def test_renamed_by_hand_the_way_out_is_said_and_it_moves_what_is_kept(enrolled: Any) -> None:
    bmc, file = enrolled.bmcs[0], enrolled.folder / "inventory.toml"
    file.write_text(enrolled.text.replace("rio1", "buero-2"))
    text, asked = enrolled.text, bmc.requests
    for words in (
        ("enroll", "buero-2"),
        ("enroll", "buero-2", "--dry-run"),
        ("bmc", "audit", "buero-2"),
    ):
        refused = enrolled.metal(*words)
        assert refused.returncode == 3, words
        assert "metal server rename rio1 buero-2" in refused.stderr, words
    assert (bmc.requests, bmc.failed_logins) == (asked, 0), "no delivered password is tried"
    assert enrolled.metal("server", "rename", "rio1", "buero-2").returncode == 0
    assert enrolled.text == text
    assert enrolled.metal("enroll", "buero-2").returncode == 0 and bmc.failed_logins == 0


CANNOT = (
    ("rio2", "new", 2, "there is no server rio2"),
    ("rio1", "far", 3, "there is a far in the inventory already"),
    ("rio1", "Büro 2", 2, "such as buero-2"),
    ("rio1", "outside", 2, "no server can be called so"),
    ("rio1", "rio1", 2, "rio1: it is called so already"),
    ("rio1", "kept", 3, "kept under the name kept already: bmc/kept"),
)


def test_what_cannot_be_is_refused_and_nothing_is_changed(enrolled: Any) -> None:
    enrolled.workspace.secrets.escrow("bmc/kept", "of another one", controller=True)
    text, before = enrolled.text, everything(enrolled)
    for old, new, code, why in CANNOT:
        refused = enrolled.metal("server", "rename", old, new)
        assert refused.returncode == code and why in refused.stderr, (old, new)
    with enrolled.workspace.store as store:
        store.servers.move("rio1", Life.TESTED)
        store.servers.move("rio1", Life.INSTALLED)
    refused = enrolled.metal("server", "rename", "rio1", "buero-2")
    assert refused.returncode == 3 and "its own system is called rio1" in refused.stderr
    lives = {"lives": [("rio1", "installed")]}
    assert enrolled.text == text and everything(enrolled) == before | lives


KILLED = """
import os, signal, sys
left = int(sys.argv.pop(1))
def watch(event, args):
    global left
    if event == "os.rename":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
from metal.cli import main
sys.exit(main(sys.argv[1:]))
"""


def cancel(fleet: Any) -> None:
    """What a person may do with a run that was killed, before they ask for the same again."""
    for operation in everything(fleet)["open"]:
        said = fleet.metal("run", "cancel", str(operation.id))
        assert said.returncode == 0, said.stderr


FULL = """
import sys
where = sys.argv.pop(1)
def watch(event, args):
    if event == "os.rename" and where in str(args[0]):
        raise OSError(28, "No space left on device")
sys.addaudithook(watch)
from metal.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("where", ["/pins/", "/secrets/bmc/"])
def test_a_full_disk_is_told_with_one_remedy_and_the_same_goes_on(
    enrolled: Any, tmp_path: Path, where: str
) -> None:
    script = tmp_path / "full.py"
    script.write_text(FULL)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "400"}
    rename = ("server", "rename", "rio1", "buero-2")
    words = [sys.executable, str(script), where, *rename]
    full = subprocess.run(
        words, cwd=enrolled.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert full.returncode == 1 and "could not be renamed: No space left" in full.stderr
    assert "bug" not in full.stderr and full.stderr.count("→") == 1, full.stderr
    assert "make room or correct the permissions; then the same again" in full.stderr
    assert enrolled.metal(*rename).returncode == 0
    assert everything(enrolled)["open"] == []
    assert (enrolled.folder / "pins" / "buero-2").exists()


def test_the_host_keys_of_a_stranger_are_neither_replaced_nor_inherited(enrolled: Any) -> None:
    pins = enrolled.folder / "pins"
    (pins / "buero-2").write_text("system ssh-ed25519 BBBB\n")
    text, before = enrolled.text, everything(enrolled)
    with pytest.raises(Refused, match="other host keys are pinned"):
        enrolled.workspace.host_keys.rename("rio1", "buero-2")
    for own in (True, False):
        if not own:
            (pins / "rio1").unlink()
            before.pop("pins/rio1")
        refused = enrolled.metal("server", "rename", "rio1", "buero-2")
        assert refused.returncode == 3 and "pins/buero-2" in refused.stderr, refused.stderr
        assert (enrolled.text, everything(enrolled)) == (text, before)


@pytest.mark.kill
@pytest.mark.parametrize("meanwhile", [lambda _: None, cancel], ids=["at once", "cancelled"])
def test_killed_before_the_rename_of_any_file_the_same_command_goes_on(
    enrolled: Any, tmp_path: Path, meanwhile: Callable[[Any], None]
) -> None:
    enrolled.workspace.secrets.escrow("power/rio1", "of its outlet", controller=True)
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    rename = ("server", "rename", "rio1", "buero-2")
    before, told = everything(enrolled), enrolled.told()
    renamed = {k.replace("rio1", "buero-2"): v for k, v in before.items() if "/" in k}
    for moment in itertools.count(1):
        here = replace(enrolled, folder=tmp_path / f"at-{moment}")
        shutil.copytree(enrolled.folder, here.folder)
        words = [sys.executable, str(script), str(moment), *rename]
        ended = subprocess.run(
            words, cwd=here.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert here.told() == told, "an administrator has every secret all the while"
        if ended.returncode != -signal.SIGKILL:
            break
        meanwhile(here)
        again = here.metal(*rename)
        assert again.returncode == 0, (moment, again.stderr)
        after = everything(here)
        assert {k: v for k, v in after.items() if "/" in k} == renamed, moment
        assert after["open"] == [] and "rio1" not in here.text
        assert load(here.folder).servers["buero-2"].learned is not None
    assert ended.returncode == 0 and moment > 5, ended.stderr


def stranger(fleet: Any, port: int, certificate: Any) -> RedfishBmc:
    """Another machine at the address of the first."""
    accounts = {USER: PASSWORD}
    machine = Machine("m12", hardware(12))
    fleet.bmcs.append(RedfishBmc(machine, "127.77.0.11", port, certificate, accounts))
    return fleet.bmcs[-1].start()


@pytest.mark.parametrize("where", ["another port", "in its place"])
@pytest.mark.parametrize("named", [False, True], ids=["by address", "by name"])
def test_the_password_of_a_server_taken_out_is_for_no_other_machine(
    fleet: Any, at: At, tmp_path_factory: pytest.TempPathFactory, where: str, named: bool
) -> None:
    bmc, text = fleet.redfish(11), fleet.text
    assert fleet.metal("enroll", at(bmc), "--name", "rio1").returncode == 0
    password, port, certificate = fleet.password("rio1"), 0, bmc.certificate
    if where == "in its place":
        bmc.stop()
        port = bmc.port
        certificate = self_signed(tmp_path_factory.mktemp("other"), "bmc", "127.77.0.1")
    other = stranger(fleet, port, certificate)
    written = MORE.partition("[tang")[0].replace("127.77.0.77", "127.77.0.11")
    written = written.replace("port = 1", f"port = {other.port}")
    (fleet.folder / "inventory.toml").write_text(text + written if named else text)
    words = ("far",) if named else (at(other), "--name", "far")
    for dry in (["--dry-run"], []):
        said = fleet.metal("enroll", *words, *dry)
        assert said.returncode == 0 and other.failed_logins == 0, said.stderr
    assert fleet.password("far") != password and other.works("metal", fleet.password("far"))


def test_taken_out_of_the_inventory_it_opens_with_what_is_kept_of_it(fleet: Any, at: At) -> None:
    bmc, text = fleet.redfish(11), fleet.text
    assert fleet.metal("enroll", at(bmc), "--name", "rio1").returncode == 0
    password = fleet.password("rio1")
    (fleet.folder / "inventory.toml").write_text(text)
    for dry in (["--dry-run"], []):
        again = fleet.metal("enroll", at(bmc), "--name", "buero-2", *dry)
        assert again.returncode == 0 and bmc.failed_logins == 0, again.stderr
    assert fleet.password("buero-2") == password and bmc.works("metal", password)
