"""What is said of what went wrong: whose it is, what to type, and that it fits on the screen."""

from pathlib import Path

import click
import pytest

from metal.cli.bars import ending
from metal.cli.complaints import complaint
from metal.cli.ending import ended
from metal.cli.face import TYPED, Face
from metal.cli.render.bmc import audit_lines
from metal.cli.render.hang import hanging
from metal.controller.auditing import Audited
from metal.lab.topology import KEY
from metal.model.errors import Refused, Unreachable

SILENT = "10.0.0.1: nothing listens there\n  → see that `metal bmc audit alba1` gets an answer"


def test_an_error_names_the_server_and_so_does_its_remedy() -> None:
    said = complaint("alba1", "10.0.0.1: it changed\n  → then `metal bmc repin SERVER`")
    assert said == "alba1: 10.0.0.1: it changed\n  → then `metal bmc repin alba1`"
    assert complaint("alba1", said) == said


def test_a_command_is_folded_as_it_is_shown() -> None:
    """One that gets `-C` is longer than it was written."""
    text = "see in the inventory that it is right, then `metal enroll alba1` goes on"
    before = TYPED.set(Face(workspace="a-longer-name").here)
    try:
        lines = hanging("", text, 62)
    finally:
        TYPED.reset(before)
    assert "`metal -C a-longer-name enroll alba1`" in " ".join(lines)
    assert max(map(len, lines)) <= 62
    assert hanging("", text, 80) == [text]


def test_on_a_screen_it_is_folded_and_in_a_log_it_is_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    face = Face(workspace="lab")
    face.complain(SILENT)
    assert capsys.readouterr().err == "metal: " + SILENT.replace("`metal", "`metal -C lab") + "\n"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    face.complain(SILENT)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 44
    assert all(line.startswith("  ") for line in lines[1:])


def test_a_password_is_not_repeated_where_it_is_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    typed = "root:a-long-pass-word-of-more-than-a-line-of-44-cells@10.0.0.1"
    Face(typed=("enroll", typed)).complain(f"{typed}: that is no address")
    assert "pass" not in capsys.readouterr().err


def test_of_what_is_over_one_line_is_left() -> None:
    assert ending("enrol one1", False, SILENT) == "FAIL enrol one1: " + SILENT.splitlines()[0]


def test_where_nobody_told_nothing_is_said_to_be_well() -> None:
    lost = Audited(server="one1", error=SILENT, exit_code=4)
    assert audit_lines([lost], 80)[-1] == "0 of 1 BMCs told: so nothing is known."
    assert "nothing that was looked at is wrong" in audit_lines([Audited(server="one1")], 80)[-1]


@pytest.mark.parametrize(("error", "said"), [(Unreachable, True), (Refused, False)])
def test_a_lab_that_has_ended_is_not_taken_for_a_dead_server(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: type[Unreachable | Refused],
    said: bool,
) -> None:
    (tmp_path / KEY).parent.mkdir()
    (tmp_path / KEY).touch()
    monkeypatch.setenv("METAL_WORKSPACE", str(tmp_path))

    def silent() -> None:
        raise error("nothing listens there", where="one1")

    assert ended(click.Command("ask", callback=silent), []) == error.exit_code
    assert (f"the lab in {tmp_path} has ended" in capsys.readouterr().err) == said
