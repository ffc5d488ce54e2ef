"""BMCs that are in no inventory: added, recognised, refused; the others always go on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metal.controller.enroll_result import EnrollResult, unusable
from metal.controller.enrolling import enroll
from metal.controller.newcomers import Newcomers
from metal.controller.progress import silent
from metal.controller.targets import Target, targets_of, targets_of_list
from metal.controller.wishes import Wishes
from metal.drivers.secrets import NAME
from metal.enroll import door
from metal.enroll.door import Credential, first_name
from metal.enroll.handover import parse
from metal.inventory import load
from metal.inventory.edit import KnownBmc
from metal.inventory.scribe import Scribe
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.redfish_faults import error
from metal.model.facts import Facts
from metal.model.fleet import BmcAccess, Learned
from metal.model.life import Life
from tests.bmc.lawful import assert_lawful

FACTORY = Credential("ADMIN", "factory-Pa55word")
At = Callable[[Any], str]


def enrol(
    fleet: Any,
    *words: str,
    wishes: Wishes | None = None,
    delivered: tuple[Credential, ...] = (FACTORY,),
    dry_run: bool = False,
) -> list[EnrollResult]:
    """One `metal enroll WORDS`."""
    workspace = fleet.workspace
    return run(workspace, targets_of(workspace, words, wishes), delivered, dry_run)


def run(
    workspace: Any, targets: list[Target], delivered: Any = (FACTORY,), dry_run: bool = False
) -> list[EnrollResult]:
    try:
        return enroll(workspace, targets, delivered, dry_run=dry_run, progress=silent)
    finally:
        if "store" in workspace.__dict__:
            workspace.store.close()


@pytest.mark.parametrize("protocol", ["redfish", "ipmi"])
def test_a_bmc_becomes_a_server_of_the_inventory(fleet: Any, at: At, protocol: str) -> None:
    bmc = getattr(fleet, protocol)(11)
    [result] = enrol(fleet, at(bmc))
    assert result.error is None
    assert (result.server, result.added, result.ok) == ("dell-7x3k9q11", True, True)
    server = load(fleet.folder).servers["dell-7x3k9q11"]
    assert (server.site, server.rack, server.profile) == ("porto", "?", "solo")
    assert (str(server.address), server.bmc.port) == ("127.77.1.11", bmc.port)
    assert server.learned is not None and server.learned.serial == "7X3K9Q11"
    assert server.bmc.protocol == protocol
    assert fleet.text.startswith("# A fleet of nobody yet.") and "# the only one" in fleet.text
    assert bmc.works("metal", fleet.password("dell-7x3k9q11"))
    assert not bmc.works(FACTORY.user, FACTORY.password)
    assert bmc.failed_logins == 0
    workspace = fleet.workspace
    assert workspace.life("dell-7x3k9q11") is Life.ENROLLED
    kept = workspace.store.records.get("dell-7x3k9q11", "facts")
    assert kept is not None and kept.body["serial"] == "7X3K9Q11"
    workspace.store.close()


def test_the_same_again_adds_nothing(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    enrol(fleet, at(bmc))
    text = fleet.text
    [again] = enrol(fleet, at(bmc), delivered=())
    assert (again.ok, again.added, again.server) == (True, False, "dell-7x3k9q11")
    assert fleet.text == text and bmc.failed_logins == 0


def test_what_a_person_says_of_it_is_written(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    wishes = Wishes(name="rio1", site="Porto", rack="A", profile="ceph-node")
    [result] = enrol(fleet, at(bmc), wishes=wishes)
    server = load(fleet.folder).servers["rio1"]
    assert result.server == "rio1"
    assert (server.site, server.rack, server.profile) == ("porto", "A", "ceph-node")


def test_many_get_places_of_their_own(fleet: Any, at: At) -> None:
    bmcs = [fleet.redfish(n, serial="0123456789") for n in range(11, 17)]
    results = enrol(fleet, *map(at, bmcs))
    assert [r.error for r in results] == [None] * 6
    inventory = load(fleet.folder)
    assert len(inventory.servers) == len(inventory.clusters) == 6
    assert len({s.address for s in inventory.servers.values()}) == 6


def test_two_sweeps_at_once_give_one_name_once(fleet: Any) -> None:
    """Neither knows what the other one wrote since it began: the same BMC, and
    another one of the same proposed name."""
    nameless = Facts(address="127.77.0.11", protocol="redfish", vendor="Dell Inc.")
    first, second = (Newcomers(load(fleet.folder), Scribe(fleet.folder)) for _ in range(2))
    near, far = (BmcAccess(address=f"127.77.0.{n}", port=4430) for n in (11, 12))

    def add(sweep: Newcomers, access: BmcAccess) -> str:
        return sweep.add(nameless, Learned(), access, Wishes(site="porto"))

    name = add(first, near)
    with pytest.raises(KnownBmc) as known:
        add(second, near)
    assert known.value.server == name
    assert add(second, far) == f"{name}-2"
    inventory = load(fleet.folder)
    assert sorted(inventory.servers) == [name, f"{name}-2"] and len(inventory.clusters) == 2


def test_two_machines_with_the_same_placeholder_are_two_servers(fleet: Any, at: At) -> None:
    nobody = "To be filled by O.E.M."
    one, two = (
        fleet.redfish(n, serial=nobody, uuid="00000000-0000-0000-0000-000000000000")
        for n in (11, 12)
    )
    results = enrol(fleet, at(one), at(two))
    assert all(r.ok and r.added for r in results)
    assert len({r.server for r in results}) == 2


def test_a_known_machine_at_another_address_is_not_added_twice(fleet: Any, at: At) -> None:
    enrol(fleet, at(fleet.redfish(11)))
    moved = fleet.redfish(12, **vars(fleet.bmcs[0].machine.hardware))
    text = fleet.text
    [result] = enrol(fleet, at(moved))
    assert (result.ok, result.exit_code) == (False, 3)
    assert "this is dell-7x3k9q11" in str(result.error)
    assert fleet.text == text and moved.works(FACTORY.user, FACTORY.password)


def test_the_uuid_may_have_turned_round(fleet: Any, at: At) -> None:
    enrol(fleet, at(fleet.redfish(11, serial="")))
    turned = fleet.redfish(12, serial="", uuid="44454c4c-4200-104a-8036-b4c04f4d000b")
    assert "this is dell-" in str(enrol(fleet, at(turned))[0].error)


def test_another_machine_at_a_known_address_is_refused(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    enrol(fleet, at(bmc))
    hardware = bmc.machine.hardware
    bmc.machine.hardware = replace(
        hardware, serial="OTHER1", uuid="4c4c4544-0042-4a10-8036-b4c04f4dffff"
    )
    text = fleet.text
    [result] = enrol(fleet, "dell-7x3k9q11")
    assert (result.ok, result.exit_code) == (False, 3)
    assert "another machine answers" in str(result.error) and "OTHER1" in str(result.error)
    assert fleet.text == text


def test_what_changed_since_the_last_time_is_told(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    enrol(fleet, at(bmc))
    hardware = bmc.machine.hardware
    swapped = (hardware.drives[0], hardware.drives[1].model_copy(update={"serial": "NEW1"}))
    bmc.machine.hardware = replace(
        hardware, dimms=hardware.dimms[:3], drives=swapped, bios_version="2.20.0"
    )
    [result] = enrol(fleet, "dell-7x3k9q11")
    assert set(result.changes) == {
        "BIOS: 2.19.1 → 2.20.0",
        "memory_gib: 64 → 48",
        "memory module DIMM A4 (16 GiB) is gone",
        "disk Bay 2 (serial S11B) is gone",
        "disk Bay 2 (serial NEW1) is new",
    }


def test_what_could_not_be_read_this_time_is_not_gone(fleet: Any, at: At) -> None:
    """A processor, a module, a disk and a card answer 500: the inventory keeps what it knew."""
    bmc = fleet.redfish(11)
    enrol(fleet, at(bmc))
    before = load(fleet.folder).servers["dell-7x3k9q11"].learned
    original = bmc._get
    broken = ("/Processors/2", "/Memory/4", "/Drives/2", "/EthernetInterfaces/1")

    def get(path: str, skip: int, *, expand: bool) -> Any:
        return error(500, "no") if path.endswith(broken) else original(path, skip, expand=expand)

    bmc._get = get
    [result] = enrol(fleet, "dell-7x3k9q11")
    assert result.error is None and result.changes == ()
    assert load(fleet.folder).servers["dell-7x3k9q11"].learned == before
    assert result.facts and {"dimms", "drives", "nics", "cpu.cores"} <= set(result.facts.unknown)


def test_each_credential_is_tried_once_in_order(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    bmc.faults.add("lockout")
    wrong = Credential("root", "calvin"), Credential("ADMIN", "ADMIN")
    [result] = enrol(fleet, at(bmc), delivered=(*wrong, FACTORY))
    assert result.ok and bmc.failed_logins == 2
    assert bmc.works("metal", fleet.password(result.server))


def test_when_no_credential_opens_it_nothing_is_written(fleet: Any, at: At) -> None:
    bmc, text = fleet.redfish(11), fleet.text
    wrong = Credential("root", "calvin"), Credential("ADMIN", "ADMIN")
    [result] = enrol(fleet, at(bmc), delivered=wrong)
    assert (result.ok, result.exit_code, bmc.failed_logins) == (False, 3, 2)
    assert "none of 2 credentials" in str(result.error) and "calvin" not in str(result.error)
    assert fleet.text == text and not (fleet.folder / "secrets").exists()


def test_other_administrators_are_named(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    bmc.stop()
    bmc = RedfishBmc(
        bmc.machine, bmc.host, 0, fleet.certificate, {"ADMIN": "factory-Pa55word", "boss": "x" * 9}
    )
    fleet.bmcs.append(bmc.start())
    [result] = enrol(fleet, at(bmc))
    [finding] = [f for f in result.findings if f.id == "other-administrators"]
    assert finding.evidence == "boss (Administrator)" and finding.severity == "high"
    assert not bmc.works(FACTORY.user, FACTORY.password) and bmc.works("boss", "x" * 9)


def test_an_address_of_no_site(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    file = fleet.folder / "inventory.toml"
    file.write_text(fleet.text.replace('bmc = "127.77.0.0/24"', 'bmc = "127.78.0.0/24"'))
    [result] = enrol(fleet, at(bmc))
    assert result.exit_code == 2 and "--site" in str(result.error)
    [result] = enrol(fleet, at(bmc), wishes=Wishes(site="lisbon"))
    assert result.exit_code == 2 and "no site lisbon" in str(result.error)
    assert bmc.works(FACTORY.user, FACTORY.password)


def test_one_bad_server_never_stops_the_others(fleet: Any, at: At) -> None:
    good, dead, odd = fleet.redfish(11), fleet.redfish(12), fleet.redfish(13)
    dead.stop()
    odd.faults.add("html")
    results = enrol(fleet, at(dead), at(good), at(odd))
    assert [r.ok for r in results] == [False, True, False]
    assert results[0].exit_code == 4 and results[2].exit_code != 0
    assert list(load(fleet.folder).servers) == [results[1].server]


def test_a_list(fleet: Any) -> None:
    one, two, three = fleet.redfish(11), fleet.redfish(12), fleet.redfish(13)
    listed = parse(
        "BMC;port;name;user;password;rack;U;serial;site\n"
        f"{one.host};{one.port};Web-1.old.example;ADMIN;factory-Pa55word;B;U7;7X3K9Q11;DC2\n"
        f"{two.host};{two.port};db1;ADMIN;factory-Pa55word;B;8;WRONG99;\n"
        f"{three.host};{three.port};;ADMIN;factory-Pa55word;;99;;\n",
        "list.csv",
    )
    workspace = fleet.workspace
    # DC2 is the donor's word for the place; --site says ours.
    targets = targets_of_list(workspace, listed, Wishes(site="porto"))
    bad = unusable(listed.bad)
    first, second = run(workspace, targets, ())
    assert (first.ok, first.server) == (True, "web-1")
    server = load(fleet.folder).servers["web-1"]
    assert (server.rack, server.unit, server.site) == ("B", 7, "porto")
    assert (second.ok, second.exit_code) == (False, 3)
    assert "list says serial WRONG99, and the BMC says 7X3K9Q12" in str(second.error)
    assert two.works(FACTORY.user, FACTORY.password), "a machine that was not meant is untouched"
    assert [b.exit_code for b in bad] == [2] and bad[0].address == "list.csv:4"
    assert set(load(fleet.folder).servers) == {"web-1"}


def test_a_stranger_looks_without_any_workspace(fleet: Any, at: At, tmp_path: Path) -> None:
    bmc, empty = fleet.redfish(11), tmp_path / "empty"
    empty.mkdir()
    said = fleet.metal("enroll", "--dry-run", at(bmc), "-o", "json", cwd=empty)
    assert said.returncode == 0, said.stderr
    [document] = json.loads(said.stdout)
    assert (document["serial"], document["memory_gib"]) == ("7X3K9Q11", 64)
    assert document["address"] == bmc.host and len(document["dimms"]) == 4
    assert list(empty.iterdir()) == []
    assert bmc.works(FACTORY.user, FACTORY.password) and bmc.sessions == {}


def test_a_dry_run_writes_nothing_in_the_workspace(fleet: Any, at: At) -> None:
    known, new = fleet.redfish(11), fleet.redfish(12)
    text = fleet.text
    said = fleet.metal("enroll", "--dry-run", at(known), at(new), "127.77.0.99:1", "-o", "ndjson")
    assert said.returncode == 4, "the worst"
    documents = [json.loads(line) for line in said.stdout.splitlines()]
    assert [d.get("serial") for d in documents] == ["7X3K9Q11", "7X3K9Q12", None]
    assert "refused" in documents[2] and documents[2]["address"].startswith("127.77.0.99")
    assert fleet.text == text and [p.name for p in fleet.folder.iterdir()] == ["inventory.toml"]
    assert known.sessions == new.sessions == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["alba9"], "no server of the inventory has that name"),
        (["10.0.0.300"], "no address of a BMC"),
        ([], "name servers"),
        (["10.0.0.1", "10.0.0.2", "--name", "rio1"], "--name names one server"),
        (["--scan", "10.0.0.0/8"], "a scan is of 4096 at most"),
        (["--scan", "ten"], "is no network"),
        (["--scan", "127.0.0.0/30:99999"], "no number from 1 to 65535"),
        (["--scan", "127.0.0.0/30:" + "9" * 5000], "is no network"),
        (["--file", "none.csv"], "cannot be read"),
    ],
    ids=[
        "name",
        "address",
        "nothing",
        "two names",
        "large",
        "no scan",
        "port",
        "digits",
        "no file",
    ],
)
def test_bad_words_are_said_before_anything_is_done(
    fleet: Any, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from metal.cli import main

    assert main(["-C", str(fleet.folder), "enroll", *words]) == 2
    assert said in capsys.readouterr().err


# ── A BMC that shows nothing before its password is changed (R49) ────────────────────────────


def test_a_first_password_is_changed_before_anything_is_known(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    bmc.faults.add("password-change-required")
    [result] = enrol(fleet, at(bmc))
    assert result.error is None and result.facts and result.facts.serial == "7X3K9Q11"
    assert bmc.works("metal", fleet.password(result.server))
    assert not bmc.logins.account("ADMIN").enabled and bmc.failed_logins == 0
    first = list((fleet.folder / "secrets" / "bmc-first").glob("*.age"))
    assert len(first) == 1, "the administrators know what it was changed to"
    assert not list((fleet.folder / "state" / "held" / "bmc-first").glob("*.age"))


def test_a_dry_run_leaves_a_first_password_alone(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    bmc.faults.add("password-change-required")
    [result] = enrol(fleet, at(bmc), dry_run=True)
    assert result.exit_code == 3 and "enrol it" in (result.error or "")
    assert bmc.works("ADMIN", "factory-Pa55word")


def test_a_first_password_that_cannot_be_escrowed_is_not_changed(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    bmc.faults.add("password-change-required")
    (fleet.folder / "secrets").mkdir()
    (fleet.folder / "secrets" / "bmc-first").write_text("not a folder")
    [result] = enrol(fleet, at(bmc))
    assert result.exit_code == 1 and bmc.works("ADMIN", "factory-Pa55word")


def test_killed_after_the_first_password_was_changed_the_next_run_gets_in(
    fleet: Any, at: At
) -> None:
    bmc = fleet.redfish(11)
    bmc.faults.add("password-change-required")
    original = bmc._resource

    def resource(path: str, *more: Any) -> Any:
        if path.endswith("/Systems/1"):
            bmc.faults.add("silent")  # it dies once the password is changed
        return original(path, *more)

    bmc._resource = resource
    process = fleet.process("enroll", at(bmc))
    deadline, pause = time.monotonic() + 60, threading.Event()
    while "silent" not in bmc.faults and time.monotonic() < deadline:
        pause.wait(0.02)
    process.kill()
    process.communicate()
    assert not bmc.works("ADMIN", "factory-Pa55word")
    bmc._resource = original
    bmc.faults.discard("silent")
    [result] = enrol(fleet, at(bmc))
    assert result.error is None and bmc.works("metal", fleet.password(result.server))
    assert bmc.failed_logins == 0


@pytest.mark.parametrize("address", ["::1", "fe80::1%eth0", f"{'x' * 60}.{'y' * 60}.example.org"])
def test_every_address_has_a_place_for_its_first_password(address: str) -> None:
    name = first_name(BmcAccess(address=address))
    assert NAME.fullmatch(name)
    assert name != first_name(BmcAccess(address=address, port=8443))


def test_a_defect_before_the_bmc_is_asked_ends_no_other(
    fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "first_name", lambda access: "no name at all")
    results = enrol(fleet, "127.0.0.1:1", "127.0.0.1:2", dry_run=True)
    assert [r.ok for r in results] == [False, False]
    assert all("no name for a secret" in (r.error or "") for r in results)


def test_a_dry_run_over_ipmi_has_the_same_shape(fleet: Any, at: At, tmp_path: Path) -> None:
    """What IPMI cannot tell is null with the reason, as over Redfish."""
    bmc = fleet.ipmi(11)
    folder = tmp_path / "nowhere"
    folder.mkdir()
    said = fleet.metal("enroll", "--dry-run", "-o", "json", at(bmc), cwd=folder)
    [document] = json.loads(said.stdout)
    assert_lawful(document)
    assert (document["protocol"], document["serial"]) == ("ipmi", "7X3K9Q11")
    assert document["memory_gib"] is None and list(folder.iterdir()) == []


HEAVY = ("sqlalchemy", "pydantic", "metal.controller", "metal.model.fleet")


@pytest.mark.parametrize(
    "words",
    [("--scan", "ten"), ("--file", "none.csv"), ("10.0.0.300",), (), ("--credentials", "x", "a1")],
    ids=["network", "list", "address", "nothing", "credentials"],
)
def test_what_is_wrong_with_the_command_is_said_before_anything_is_loaded(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "metal", "enroll", *words]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 2, said.stderr
    assert [name for name in HEAVY if re.search(rf"\\|\\s+{name}$", said.stderr, re.M)] == []


def test_a_scan_that_meets_nobody_ends_as_unreachable_and_says_what_was_tried(fleet: Any) -> None:
    said = fleet.metal("enroll", "--scan", "127.77.9.0/30:7", "--dry-run", "-o", "json")
    assert said.returncode == 4 and json.loads(said.stdout) == []
    for word in ("no BMC answers in 127.77.9.0/30:7", "4 addresses", "TCP port 7", "UDP port 7"):
        assert word in said.stderr
