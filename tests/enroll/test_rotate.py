"""New BMC passwords: escrowed before they are set, proven before the old one goes; killed."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyrage
import pytest

from metal.controller.bmcs import chosen
from metal.controller.enrolling import enroll
from metal.controller.progress import silent
from metal.controller.rotating import rotate_all
from metal.controller.targets import targets_of
from metal.enroll.door import Credential
from metal.lab.redfish_bmc import RedfishBmc
from metal.model.errors import BadInput, Unreachable, WrongPassword

from .conftest import PATIENCE, Moment

At = Callable[[Any], str]


def enrolled(fleet: Any, *words: str) -> list[str]:
    """Names of the servers, enrolled."""
    workspace = fleet.workspace
    factory = Credential("ADMIN", "factory-Pa55word")
    results = enroll(workspace, targets_of(workspace, words), (factory,), progress=silent)
    workspace.store.close()
    assert [r.error for r in results] == [None] * len(results)
    return [r.server for r in results]


def rotated(fleet: Any, *names: str) -> list[Any]:
    workspace = fleet.workspace
    try:
        groups = chosen(workspace, names, everything=not names)
        return rotate_all(workspace, groups, silent)
    finally:
        workspace.store.close()


def opens(fleet: Any, name: str) -> bool:
    """The workspace, opened anew, gets in."""
    workspace = fleet.workspace
    try:
        workspace.bmc(name).close()
    except WrongPassword:
        return False
    return True


@pytest.mark.parametrize("protocol", ["redfish", "ipmi"])
def test_a_new_password_takes_the_place_of_the_old(fleet: Any, at: At, protocol: str) -> None:
    bmc = getattr(fleet, protocol)(11)
    [name] = enrolled(fleet, at(bmc))
    old = fleet.password(name)
    [result] = rotated(fleet, name)
    assert result.error is None
    new = fleet.password(name)
    assert new != old and len(new.encode()) == 16
    assert bmc.works("metal", new) and not bmc.works("metal", old)
    assert bmc.failed_logins == 0 and opens(fleet, name)
    # The administrators can still read the old one; the controller holds nothing but the new.
    kept = fleet.folder / "secrets" / "bmc" / f"{name}.1.age"
    assert pyrage.decrypt(kept.read_bytes(), [fleet.identity]).decode() == old
    assert nothing_pending(fleet)
    text = b"".join(p.read_bytes() for p in (fleet.folder / "state").glob("metal.db*"))
    assert new.encode() not in text and old.encode() not in text


def test_servers_behind_one_bmc_share_the_new_one(fleet: Any, at: At) -> None:
    from metal.lab.machine import Machine

    bmc = fleet.redfish(11)
    bmc.stop()
    other = replace(
        bmc.machine.hardware, serial="OTHER12", uuid="4c4c4544-0042-4a10-8036-b4c04f4d0999"
    )
    other = replace(other, nics=(replace_mac(other.nics[0]),))
    bmc.others = (Machine("m12", other),)
    bmc.start()
    one, two = enrolled(fleet, at(bmc))
    [result] = rotated(fleet, two)
    assert (result.server, result.error) == (two, None)
    assert fleet.password(one) == fleet.password(two)
    assert bmc.works("metal", fleet.password(one)) and opens(fleet, one) and opens(fleet, two)
    assert nothing_pending(fleet)


def test_one_that_was_kept_under_another_first_server_is_found(fleet: Any, at: At) -> None:
    """A node that was added since comes first now; the BMC has what was kept under the other."""
    from metal.lab.machine import Machine

    bmc = fleet.redfish(11)
    bmc.stop()
    other = replace(
        bmc.machine.hardware, serial="OTHER12", uuid="4c4c4544-0042-4a10-8036-b4c04f4d0999"
    )
    bmc.others = (Machine("m12", replace(other, nics=(replace_mac(other.nics[0]),))),)
    bmc.start()
    one, two = enrolled(fleet, at(bmc))
    fleet.workspace.secrets.escrow(f"bmc-next/{two}", "Kept-and-set-16b", controller=True)
    bmc.logins.account("metal").password = "Kept-and-set-16b"
    assert opens(fleet, one) and opens(fleet, two)
    assert [r.error for r in rotated(fleet)] == [None, None] and nothing_pending(fleet)
    assert bmc.works("metal", fleet.password(one)) and fleet.password(one) == fleet.password(two)


def nothing_pending(fleet: Any) -> bool:
    """No file is left under the name of a rotation that goes on: not the administrators' either."""
    folders = (fleet.folder / "secrets" / "bmc-next", fleet.folder / "state" / "held" / "bmc-next")
    return not any(file for folder in folders for file in folder.glob("*"))


def replace_mac(nic: Any) -> Any:
    return nic.model_copy(update={"mac": "02:00:5e:00:77:99"})


def test_one_bad_bmc_never_stops_the_others(fleet: Any, at: At) -> None:
    bmcs = [fleet.redfish(number) for number in (11, 12, 13)]
    names = enrolled(fleet, *map(at, bmcs))
    old = [fleet.password(name) for name in names]
    bmcs[1].stop()
    results = rotated(fleet)
    codes = {r.server: r.exit_code for r in results}
    assert codes == {names[0]: 0, names[1]: Unreachable.exit_code, names[2]: 0}
    bmcs[1].start()
    for index in (0, 2):
        assert bmcs[index].works("metal", fleet.password(names[index]))
        assert fleet.password(names[index]) != old[index]
    assert bmcs[1].works("metal", old[1]) and opens(fleet, names[1])


def test_a_refused_password_leaves_the_old_one_in_use(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    [name] = enrolled(fleet, at(bmc))
    old = fleet.password(name)
    bmc.faults.add("password-policy")
    [result] = rotated(fleet, name)
    assert result.exit_code == 1 and "did not take" in result.error
    assert bmc.works("metal", old) and fleet.password(name) == old and opens(fleet, name)
    bmc.faults.clear()
    [result] = rotated(fleet, name)
    assert result.error is None and bmc.works("metal", fleet.password(name))
    assert fleet.password(name) != old


def test_a_short_rule_gets_a_short_password(fleet: Any, at: At) -> None:
    """R52: 16 bytes are too many for some, and they say so."""
    bmc = fleet.redfish(11)
    bmc.faults.add("short-passwords")
    [name] = enrolled(fleet, at(bmc))
    assert len(fleet.password(name)) == 12 and bmc.works("metal", fleet.password(name))
    [result] = rotated(fleet, name)
    assert result.error is None and len(fleet.password(name)) == 12


UNTOLD = ["short-unsaid", "short-as-text", "no-signs", "accounts-500"]


@pytest.mark.parametrize("fault", UNTOLD)
def test_what_it_takes_is_found_out_where_it_is_not_told(fleet: Any, at: At, fault: str) -> None:
    """R52: at take-over, and at every rotation after."""
    bmc = fleet.redfish(11)
    bmc.faults |= {fault, "short-passwords"} if fault == "accounts-500" else {fault}
    [name] = enrolled(fleet, at(bmc))
    taken = fleet.password(name)
    assert len(taken) == 12 and bmc.works("metal", taken) and opens(fleet, name)
    bmc._left.clear()
    [result] = rotated(fleet, name)
    assert result.error is None and fleet.password(name) != taken
    assert len(fleet.password(name)) == 12 and opens(fleet, name)


@pytest.mark.parametrize("protocol", ["redfish", "ipmi"])
def test_a_password_that_was_kept_and_refused_is_not_kept_for_ever(
    fleet: Any, at: At, protocol: str
) -> None:
    """As an earlier run left it: escrowed, refused, and of a shape that the BMC never takes."""
    bmc = getattr(fleet, protocol)(11)
    [name] = enrolled(fleet, at(bmc))
    old, refused = fleet.password(name), "Sixteen-signs_16"
    fleet.workspace.secrets.escrow(f"bmc-next/{name}", refused, controller=True)
    bmc.faults.add("short-unsaid" if protocol == "redfish" else "no-long-passwords")
    [result] = rotated(fleet, name)
    assert result.error is None and opens(fleet, name)
    assert fleet.password(name) not in (old, refused) and len(fleet.password(name)) == 12


def test_the_first_password_too_is_one_that_it_takes(fleet: Any, at: At) -> None:
    """R49 and R52 together."""
    bmc = fleet.redfish(11)
    bmc.faults |= {"password-change-required", "short-unsaid"}
    [name] = enrolled(fleet, at(bmc))
    assert bmc.works("metal", fleet.password(name)) and opens(fleet, name)


def test_one_that_it_may_have_taken_after_all_stays_the_kept_one(fleet: Any, at: At) -> None:
    """It refuses the new password, takes it, and shows so only later: the old one opens no more."""
    bmc = fleet.redfish(11)
    [name] = enrolled(fleet, at(bmc))
    bmc.faults |= {"refuses-but-does", "password-late"}
    [result] = rotated(fleet, name)
    assert result.error is not None and "did not take" in result.error
    pending = fleet.workspace.secrets.reveal(f"bmc-next/{name}")
    assert len(pending) == 16 and bmc.logins.account("metal").password == pending
    bmc.faults.clear()
    [result] = rotated(fleet, name)
    assert result.error is None and fleet.password(name) == pending and opens(fleet, name)


def test_where_nothing_can_be_escrowed_nothing_is_changed(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    [name] = enrolled(fleet, at(bmc))
    old, changes = fleet.password(name), changed(bmc)
    block(fleet.folder / "secrets" / "bmc-next")
    [result] = rotated(fleet, name)
    assert result.exit_code == 1 and "secrets" in result.error
    assert bmc.works("metal", old) and changed(bmc) == changes
    (fleet.folder / "secrets" / "bmc-next").unlink()
    assert rotated(fleet, name)[0].error is None


def test_at_take_over_too(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    (fleet.folder / "secrets").mkdir()
    block(fleet.folder / "secrets" / "bmc")
    said = fleet.metal("enroll", at(bmc))
    assert said.returncode == 1 and "secrets" in said.stderr
    assert bmc.works("ADMIN", "factory-Pa55word") and changed(bmc) == []
    assert bmc.logins.account("metal") is None


def block(path: Path) -> None:
    """Nothing can be written below it: it is a file. (A test runs as root, whom no mode stops.)"""
    path.write_text("not a folder")


def changed(bmc: RedfishBmc) -> list[str]:
    """What it was asked to change, sessions left out."""
    return [a for a in bmc.asked if not a.startswith("GET") and "/Sessions" not in a]


def test_names_or_all(fleet: Any, at: At) -> None:
    [name] = enrolled(fleet, at(fleet.redfish(11)))
    workspace = fleet.workspace
    assert chosen(workspace, (), everything=True) == [[name]]
    for names, everything in (((), False), ((name,), True), (("nobody",), False)):
        with pytest.raises(BadInput):
            chosen(workspace, names, everything=everything)


MOMENTS = [
    Moment("POST", "/Sessions", 1, after=False),  # before it is in
    Moment("PATCH", "/Accounts/", 1, after=False),  # the new one is escrowed, and not set
    Moment("PATCH", "/Accounts/", 1, after=True),  # it is set, and nobody was told
    Moment("POST", "/Sessions", 2, after=True),  # it was tried by the driver
    Moment("POST", "/Sessions", 3, after=True),  # proven, and not yet kept
]


@pytest.mark.kill
@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_killed_anywhere_no_bmc_is_one_that_nobody_can_open(
    fleet: Any, at: At, moment: Moment
) -> None:
    """A real SIGKILL when the BMC is asked that, before or after it does it."""
    bmc = fleet.redfish(11)
    [name] = enrolled(fleet, at(bmc))
    old = fleet.password(name)
    said = fleet.ended_at(bmc, moment, signal.SIGKILL, "bmc", "rotate", name)
    assert said.returncode == -signal.SIGKILL
    assert opens(fleet, name), "the controller is locked out"
    told = fleet.told()
    assert any(bmc.works("metal", secret) for secret in told), "the administrators are locked out"
    again = fleet.metal("bmc", "rotate", "-o", "json", name)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == [{"server": name, "error": None, "exit_code": 0}]
    assert fleet.password(name) != old and bmc.works("metal", fleet.password(name))
    assert nothing_pending(fleet)


@pytest.mark.kill
@pytest.mark.parametrize("moment", [MOMENTS[1], MOMENTS[2], MOMENTS[4]], ids=str)
def test_ctrl_c_in_a_rotation(fleet: Any, at: At, moment: Moment) -> None:
    """It ends between two steps, says so, and the same command goes on."""
    bmc = fleet.redfish(11)
    [name] = enrolled(fleet, at(bmc))
    old = fleet.password(name)
    said = fleet.ended_at(bmc, moment, signal.SIGINT, "bmc", "rotate", name)
    assert said.returncode == 130, said.stderr
    assert opens(fleet, name) and any(bmc.works("metal", secret) for secret in fleet.told())
    again = fleet.metal("bmc", "rotate", name)
    assert again.returncode == 0, again.stderr
    assert fleet.password(name) != old and opens(fleet, name) and nothing_pending(fleet)


@pytest.mark.kill
def test_two_rotations_at_once(fleet: Any, at: At) -> None:
    """One of them is refused, or comes after the other; what is kept is what the BMC has."""
    bmc = fleet.redfish(11)
    [name] = enrolled(fleet, at(bmc))
    processes = [fleet.process("bmc", "rotate", name) for _ in range(2)]
    said = [process.communicate(timeout=PATIENCE) for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes in ([0, 0], [0, 3]), said
    assert bmc.works("metal", fleet.password(name)) and opens(fleet, name)
    assert bmc.failed_logins <= 1 and nothing_pending(fleet)


@pytest.mark.parametrize("turn", range(5))
def test_killed_while_it_takes_the_old_ones_place(
    fleet: Any, monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    """Whatever was renamed by then, the controller has the new one under one of both names."""
    keep, left = fleet.workspace.secrets, [turn]
    keep.escrow("bmc/alba1", "old", controller=True)
    keep.escrow("bmc-next/alba1", "new", controller=True)

    class Killed(BaseException):
        pass

    def deadly(folder: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    with monkeypatch.context() as patched, contextlib.suppress(Killed):
        patched.setattr("metal.drivers.secrets.sync", deadly)
        keep.promote("bmc-next/alba1", "bmc/alba1")
    assert "new" in (keep.reveal("bmc/alba1"), keep.reveal("bmc-next/alba1"))
    keep.promote("bmc-next/alba1", "bmc/alba1")
    assert (keep.reveal("bmc/alba1"), fleet.password("alba1")) == ("new", "new")
    assert nothing_pending(fleet)
