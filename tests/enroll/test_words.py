"""What `metal enroll` says: of what was typed, of credentials, and of a list's lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from metal.cli import credentials
from metal.cli.credentials import Given, from_file, given
from metal.enroll.door import Credential, Door
from metal.enroll.ranges import network_of
from metal.model.errors import BadInput, WrongPassword
from metal.model.fleet import BmcAccess

At = Callable[[Any], str]


def credentials_of(folder: Path, text: str) -> Path:
    file = folder / "creds"
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_a_password_may_hold_colons(tmp_path: Path) -> None:
    file = credentials_of(tmp_path, "# of the pallet\nroot:a:b:c\n")
    assert from_file(file) == [Given("root", "a:b:c", f"{file}:2")]


@pytest.mark.parametrize("line", ["root", ":calvin", "root:"])
def test_what_is_no_credential_says_what_one_is(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadInput, match="which may hold colons") as error:
        from_file(credentials_of(tmp_path, f"{line}\n"))
    assert "calvin" not in str(error.value)


def test_the_prompt_says_for_which_bmcs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (credentials.USER, credentials.PASSWORD):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.isatty", lambda _: True)
    monkeypatch.setattr(click, "prompt", lambda text, **_: text)
    [found] = given(["one1", "10.0.0.2", "one1"])
    assert capsys.readouterr().err == "As delivered, of the BMCs one1, 10.0.0.2:\n"
    assert found.source == "the prompt"
    given(["a", "b", "c", "d", "e"])
    assert capsys.readouterr().err == "As delivered, of the BMCs a, b, c and 2 more:\n"
    assert given([]) == []


def test_a_wrong_password_says_where_it_came_from(fleet: Any, at: At, tmp_path: Path) -> None:
    bmc = fleet.redfish(11)
    file = credentials_of(tmp_path, "root:calvin-0\nADMIN:ADMIN-0\n")
    said = fleet.metal("enroll", at(bmc), "--credentials", str(file)).stderr
    assert f"tried: 'root' from {file}:1, 'ADMIN' from {file}:2" in said
    assert "→ give another one with --credentials FILE" in said
    assert "calvin" not in said and "ADMIN-0" not in said


def test_of_a_password_that_is_kept_here_no_other_is_asked_for() -> None:
    def connect(access: BmcAccess, user: str, password: str) -> Any:
        raise WrongPassword(f"wrong password for {user!r}", where="x", mend="ask the donor")

    door = Door(BmcAccess(address="10.0.0.1"), connect, own=lambda: "kept")
    with pytest.raises(WrongPassword) as error:
        door.bmc()
    assert "tried: 'metal' from secrets/" in str(error.value)
    assert error.value.mend == "ask the donor"


def test_where_it_came_from_makes_no_other_credential() -> None:
    assert Credential("a", "b", "x:1") == Credential("a", "b", "y:2")
    assert len({Credential("a", "b", "x:1"), Credential("a", "b")}) == 1


def test_what_is_wrong_with_a_row_is_said_with_its_line(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    file = fleet.folder / "list.csv"
    rows = [
        f"{at(bmc)};ADMIN;wrong-0;",
        "127.77.0.99:1;ADMIN;x;",
        f"{at(fleet.redfish(12))};ADMIN;factory-Pa55word;Z9",
    ]
    file.write_text("\n".join(["address;user;password;serial", *rows]) + "\n")
    file.chmod(0o600)
    other = str(credentials_of(fleet.folder, "root:calvin-0\n"))
    for dry in (["--dry-run"], []):
        said = fleet.metal("enroll", "--file", "list.csv", "--credentials", other, *dry).stderr
        for number in (2, 3, 4):
            assert said.count(f"metal: list.csv:{number}: ") == 1, (number, said)
        assert "'ADMIN' from list.csv:2" in said and "wrong-0" not in said


def test_silence_says_which_ports_were_asked_and_where_others_listen(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    assert fleet.metal("enroll", at(bmc)).returncode == 0
    said = fleet.metal("enroll", "127.77.0.99").stderr
    assert "no Redfish on TCP port 443 (" in said
    assert "no IPMI on UDP port 623 (" in said
    assert f"→ BMCs of the inventory there listen on {bmc.port}: 127.77.0.99:{bmc.port}" in said
    bmc.stop()
    said = fleet.metal("enroll", "127.77.0.99:1").stderr
    assert "TCP port 1 (" in said and "of the inventory there" not in said


@pytest.mark.parametrize(
    ("text", "near"), [("10.0.0.0", "10.0.0.0/24"), ("2001:db8::5", "2001:db8::/120")]
)
def test_an_address_is_no_network(text: str, near: str) -> None:
    with pytest.raises(BadInput, match="is one address") as error:
        network_of(text)
    assert f"did you mean {near}?" in error.value.mend
    assert network_of("10.0.0.5/32")[0].num_addresses == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rio1", "--all"], "servers are named, and --all is given"),
        ([], "--scan NETWORK or --file LIST"),
    ],
)
def test_what_is_to_be_enrolled_is_asked_for(
    fleet: Any, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from metal.cli import main

    assert main(["-C", str(fleet.folder), "enroll", *words]) == 2
    assert said in capsys.readouterr().err


def test_one_bmc_answers(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    said = fleet.metal("enroll", "--scan", f"127.77.0.11/32:{bmc.port}", "--dry-run").stderr
    assert "1 BMC answers in" in said and "1 BMCs" not in said
