"""`metal bmc audit`, `prove` and `repin` on doubles: what they print, change and end with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metal.cli import main
from metal.controller.enrolling import enroll
from metal.controller.progress import silent
from metal.controller.repinning import repin
from metal.controller.targets import targets_of
from metal.enroll.door import Credential
from metal.inventory import load
from metal.lab.web import self_signed
from metal.model.errors import Refused, WrongPassword

At = Callable[[Any], str]
NEIGHBOUR = """
[servers.neighbour]
site = "porto"
rack = "A1"
unit = 40
address = "127.77.1.99"
profile = "solo"
bmc = { address = "127.77.0.99" }

[clusters.neighbour]
servers = ["neighbour"]
ceph = false
"""


@pytest.fixture
def enrolled(fleet: Any, at: At) -> tuple[Any, str]:
    """A BMC and the name of its server."""
    bmc = fleet.redfish(11)
    workspace = fleet.workspace
    factory = Credential("ADMIN", "factory-Pa55word")
    [result] = enroll(workspace, targets_of(workspace, [at(bmc)]), (factory,), progress=silent)
    workspace.store.close()
    assert result.error is None
    return bmc, result.server


@pytest.fixture
def metal(fleet: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["-C", str(fleet.folder), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def changed(bmc: Any) -> list[str]:
    return [a for a in bmc.asked if not a.startswith("GET") and "/Sessions" not in a]


def test_an_audit_ends_with_1_when_something_is_high(
    enrolled: tuple[Any, str], metal: Callable[..., tuple[int, str, str]], fleet: Any
) -> None:
    bmc, name = enrolled
    before = changed(bmc)
    code, out, _ = metal("bmc", "audit", "--all", "-o", "json")
    [document] = json.loads(out)
    assert code == 0 and document["server"] == name and document["error"] is None
    assert {f["severity"] for f in document["findings"]} == {"low", "info"}
    assert document["unexamined"]["cipher-0"]
    bmc.faults |= {"telnet", "password-change-required"}
    code, out, _ = metal("bmc", "audit", name)
    assert code == 1 and f"{name}: high: telnet is open" in " ".join(out.split())
    assert changed(bmc) == before
    kept = fleet.workspace.store.records.get(name, "findings").body
    assert "telnet-open" in [f["id"] for f in kept]


def test_who_is_not_enrolled_is_named_and_not_asked(
    enrolled: tuple[Any, str], metal: Callable[..., tuple[int, str, str]], fleet: Any
) -> None:
    """All of them means those that are enrolled: silence on the others would look like a yes."""
    code, _, err = metal("bmc", "audit", "--all")
    assert code == 0 and "not enrolled" not in err
    file = fleet.folder / "inventory.toml"
    file.write_text(file.read_text() + NEIGHBOUR)
    code, out, err = metal("bmc", "audit", "--all")
    assert code == 0 and "neighbour" not in out, err
    assert "not enrolled, so not asked: neighbour\n" in err
    assert f"`metal -C {fleet.folder} enroll --all`" in err


def test_a_server_is_enrolled_in_the_tui_before_anybody_looked(
    enrolled: tuple[Any, str], metal: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, _ = metal("tui", "--text")
    assert code == 0 and "never looked" in out
    assert "enrolled" in next(line for line in out.splitlines() if enrolled[1] in line)


def test_a_silent_bmc_is_not_a_good_one(
    enrolled: tuple[Any, str], metal: Callable[..., tuple[int, str, str]]
) -> None:
    bmc, name = enrolled
    bmc.stop()
    code, out, err = metal("bmc", "audit", name)
    assert code == 4 and "not audited" in out and "0 of 1 BMCs told" in out and name not in err[:7]


def test_proving_again_is_kept_and_leaves_nothing_behind(
    enrolled: tuple[Any, str], metal: Callable[..., tuple[int, str, str]], fleet: Any
) -> None:
    bmc, name = enrolled
    bmc.machine.boot_once, bmc.machine.boot_mode = "disk", "bios"
    bmc.faults.add("http-uri-refused")
    code, out, err = metal("bmc", "prove", name, "-o", "json")
    assert code == 0, err
    [document] = json.loads(out)
    boots = {(b["device"], b["mode"]): b["works"] for b in document["passport"]["boots"]}
    assert boots["http", "uefi"] is False and boots["network", "uefi"] is True
    assert document["route"]["method"] == "redfish-iso"
    assert fleet.workspace.store.records.get(name, "passport").body == document["passport"]
    assert (bmc.machine.boot_once, bmc.machine.boot_mode) == ("disk", "bios")


def test_killed_while_proving_the_next_run_sets_back_what_was(
    enrolled: tuple[Any, str], metal: Callable[..., tuple[int, str, str]], fleet: Any
) -> None:
    """What the next boot was set to is in the journal before anything is tried."""
    bmc, name = enrolled
    bmc.machine.boot_once = "media"
    process, original = [], bmc._handle

    async def deadly(request: Any) -> Any:
        answer = await original(request)
        if request.method == "PATCH" and process and process[0].poll() is None:
            process[0].kill()
            process[0].wait(60)
        return answer

    bmc.stop()
    bmc._handle = deadly
    bmc.start()
    process.append(fleet.process("bmc", "prove", name))
    process[0].communicate(timeout=60)
    assert bmc.machine.boot_once == "network", "it was not killed in the middle"
    assert metal("bmc", "prove", name)[0] == 0
    assert bmc.machine.boot_once == "media"


# ── A certificate that changed ───────────────────────────────────────────────────────────────


@pytest.fixture
def swapped(enrolled: tuple[Any, str], tmp_path: Path) -> tuple[Any, str, str]:
    """The BMC with another certificate; its server; the fingerprint that is pinned."""
    bmc, name = enrolled
    old = bmc.certificate.fingerprint
    bmc.stop()
    bmc.certificate = self_signed(tmp_path / "another", "bmc", "127.77.0.11")
    bmc.start()
    return bmc, name, old


def test_it_is_refused_and_the_way_out_is_named(
    swapped: tuple[Any, str, str], metal: Callable[..., tuple[int, str, str]]
) -> None:
    bmc, name, old = swapped
    requests = bmc.requests
    code, _, err = metal("bmc", "rotate", name)
    assert code == 3 and old in err and bmc.certificate.fingerprint in err
    assert f" bmc repin {name}`" in err and bmc.requests == requests


def test_nobody_to_ask_changes_nothing(
    swapped: tuple[Any, str, str], metal: Callable[..., tuple[int, str, str]], fleet: Any
) -> None:
    bmc, name, old = swapped
    code, _, err = metal("bmc", "repin", name)
    assert code == 3 and old in err and bmc.certificate.fingerprint in err
    assert "--fingerprint" in err and load(fleet.folder).servers[name].bmc.fingerprint == old
    code, _, err = metal("bmc", "repin", name, "--fingerprint", old)
    assert code == 3 and "not the certificate it shows" in err
    assert not any("POST" in asked for asked in bmc.asked[-2:])


def test_the_one_that_was_compared_is_pinned(
    swapped: tuple[Any, str, str], metal: Callable[..., tuple[int, str, str]], fleet: Any
) -> None:
    bmc, name, _ = swapped
    code, _, err = metal("bmc", "repin", name)
    assert code == 3 and "differ in  " in err and " of 32 pairs, number " in err, err
    new, before = bmc.certificate.fingerprint, load(fleet.folder).servers[name]
    code, out, err = metal("bmc", "repin", name, "--fingerprint", new.lower())
    assert code == 0 and "is pinned now" in out, err
    after = load(fleet.folder).servers[name]
    assert after.bmc.fingerprint == new and after.learned == before.learned
    assert "# the only one" in fleet.text
    fleet.workspace.bmc(name).close()
    assert "was pinned already" in metal("bmc", "repin", name)[1]


def test_a_bmc_that_does_not_take_our_password_is_not_pinned(
    swapped: tuple[Any, str, str], fleet: Any
) -> None:
    bmc, name, old = swapped
    account = bmc.logins.account("metal")
    account.password = "somebody-else-5"
    with pytest.raises(WrongPassword):
        repin(fleet.workspace, name, lambda _old, _new: True)
    assert load(fleet.folder).servers[name].bmc.fingerprint == old
    with pytest.raises(Refused, match="consent"):
        repin(fleet.workspace, name, lambda _old, _new: False)
