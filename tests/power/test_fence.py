"""The fence driver with Debian's real agents, against a real SNMP agent and the IPMI double."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metal.drivers.commands import Here, Result
from metal.drivers.power import agents
from metal.drivers.power.fence import Fence
from metal.drivers.power.outlets import Outlets
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machine import Hardware, Machine
from metal.model.errors import BadInput, Failed, Refused, Unreachable
from metal.model.facts import Cpu
from metal.model.fleet import PowerAccess

pytestmark = pytest.mark.skipif(
    not Path("/usr/sbin/fence_dummy").exists(), reason="fence-agents is not installed"
)


def plug(pdu: Any, number: str, password: str | None = None, **options: str) -> Fence:
    quick = {"ipport": str(pdu.port), "login_timeout": "1", "shell_timeout": "1"}
    access = PowerAccess(driver="fence", agent="fence_apc_snmp", address="127.0.0.1",
                         plug=number, options=quick | {"power_timeout": "1"} | options)  # fmt: skip
    return Fence(access, password or pdu.community, settle=0.2)


def test_a_switched_pdu(pdu: Any) -> None:
    switch = plug(pdu, "3")
    assert switch.power() == "on"
    switch.ensure_power("off")
    switch.ensure_power("off")
    assert (switch.power(), pdu.read(3), pdu.read(4)) == ("off", "off", "on")
    switch.ensure_power("on")
    assert (switch.power(), pdu.read(3)) == ("on", "on")
    assert switch.by == "fence_apc_snmp at 127.0.0.1, plug 3"


def test_two_power_supplies_are_off_when_both_are(pdu: Any) -> None:
    switch = plug(pdu, "3,4")
    pdu.write(3, "off")
    assert switch.power() == "on"
    switch.ensure_power("off")
    assert (pdu.read(3), pdu.read(4)) == ("off", "off")


@pytest.fixture
def other(tmp_path: Path, pdu: Any) -> Iterator[Any]:
    """The rack's second PDU."""
    (tmp_path / "second").mkdir()
    made = type(pdu)(tmp_path / "second")
    yield made
    made.stop()


def test_two_supplies_on_two_pdus_are_off_when_both_are(pdu: Any, other: Any) -> None:
    switch = Outlets([plug(pdu, "3"), plug(other, "5")])
    pdu.write(3, "off")
    assert switch.power() == "on"
    switch.ensure_power("off")
    assert (switch.power(), pdu.read(3), other.read(5)) == ("off", "off", "off")
    switch.ensure_power("on")
    assert (switch.power(), pdu.read(3), other.read(5)) == ("on", "on", "on")
    assert (
        switch.by == "fence_apc_snmp at 127.0.0.1, plug 3 and fence_apc_snmp at 127.0.0.1, plug 5"
    )


def test_a_pdu_that_is_dead_leaves_the_other_and_never_means_off(pdu: Any, other: Any) -> None:
    switch = Outlets([plug(pdu, "3"), plug(other, "5")])
    pdu.stop()
    assert switch.power() == "on"
    with pytest.raises(Unreachable):
        switch.ensure_power("off")
    assert other.read(5) == "off"
    with pytest.raises(Unreachable):
        switch.power()


def test_a_plug_that_stays_on_is_never_off(pdu: Any) -> None:
    pdu.write(3, "stuck")
    with pytest.raises(Failed, match="does not read off"):
        plug(pdu, "3").ensure_power("off")


def test_a_dead_pdu_is_never_off(pdu: Any) -> None:
    pdu.stop()
    with pytest.raises(Unreachable):
        plug(pdu, "3").ensure_power("off")


def test_a_wrong_community_is_silence_and_is_not_told(pdu: Any) -> None:
    with pytest.raises(Unreachable, match=r"(?i)timed? ?out") as error:
        plug(pdu, "3", "wr0ng-one").power()
    assert "wr0ng-one" not in str(error.value)


def test_an_outlet_that_is_not_there(pdu: Any) -> None:
    with pytest.raises((Failed, Refused)):
        plug(pdu, "77").power()


def test_what_an_agent_would_ignore_is_refused(pdu: Any) -> None:
    with pytest.raises(Refused, match="knows no option pluck"):
        plug(pdu, "3", pluck="4")
    with pytest.raises(Refused, match="line's end"):
        plug(pdu, "3", password="a\naction=on")
    with pytest.raises(Refused, match="fence_apc_snpm is not installed") as error:
        Fence(PowerAccess(driver="fence", agent="fence_apc_snpm"), None)
    assert "did you mean `fence_apc_snmp`?" in str(error.value)
    with pytest.raises(BadInput):
        Fence(PowerAccess(driver="fence"), None)


class Ends:
    """An agent that ends as told: what Python does when it cannot even open the file."""

    where = "here"

    def __init__(self, code: int, out: str, err: str = "") -> None:
        self.result = Result(code, out.encode(), err)

    def run(self, argv: object, *, stdin: bytes = b"", timeout: float = 60) -> Result:
        return self.result


@pytest.mark.parametrize(
    ("code", "out"), [(2, ""), (2, "Status: ON"), (0, "Status: OFF"), (0, ""), (1, "Status: OFF")]
)
def test_off_needs_words_and_code(code: int, out: str) -> None:
    access = PowerAccess(driver="fence", agent="fence_dummy")
    with pytest.raises(Failed):
        Fence(access, None, runner=Ends(code, out)).power()


def test_a_secret_that_an_agent_repeats_is_not_told() -> None:
    said = "Parse error: Ignoring unknown option 'password=hunter2'\nERROR: Failed: hunter2"
    access = PowerAccess(driver="fence", agent="fence_apc", user="apc", address="h", plug="1")
    with pytest.raises(Failed) as error:
        Fence(access, "hunter2", runner=Ends(1, "", said)).power()
    assert "hunter2" not in str(error.value)


class Listening(Here):
    """Keeps what a program was given."""

    def run(self, argv: object, *, stdin: bytes = b"", timeout: float = 60) -> Result:
        self.argv, self.stdin = list(argv), stdin.decode()  # type: ignore[call-overload]
        return super().run(self.argv, stdin=stdin, timeout=timeout)


@pytest.fixture
def bmc() -> Iterator[IpmiBmc]:
    hardware = Hardware("Dell", "R630", "X1", "4c4c4544-0058-4b10-8051-b8c04f324c32", "1", "1",
                        Cpu(), (), (), ())  # fmt: skip
    double = IpmiBmc(
        Machine("alba1", hardware), "127.0.0.1", 0, {"ADMIN": "Pa55word"}, cipher_suite=3
    ).start()
    yield double
    double.stop()


@pytest.mark.skipif(shutil.which("ipmitool") is None, reason="ipmitool is not installed")
def test_another_agent_and_its_password_in_no_argument_of_ours(bmc: IpmiBmc) -> None:
    access = PowerAccess(
        driver="fence", agent="fence_ipmilan", address="127.0.0.1", user="ADMIN",
        options={"lanplus": "1", "cipher": "3", "ipport": str(bmc.port), "power_wait": "0"},
    )  # fmt: skip
    runner = Listening()
    switch = Fence(access, "Pa55word", runner=runner)
    assert switch.power() == "off"
    switch.ensure_power("on")
    assert bmc.machine.power == "on"
    switch.ensure_power("off")
    assert bmc.machine.power == "off"
    assert runner.argv == ["/usr/sbin/fence_ipmilan"] and "Pa55word" in runner.stdin


def test_parameters_come_from_the_agent() -> None:
    assert {"plug", "community", "ip"} <= agents.parameters("fence_apc_snmp")
    assert "community" not in agents.parameters("fence_apc")
