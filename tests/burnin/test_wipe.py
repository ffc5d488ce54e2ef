"""Erasing disks: only where nothing runs, with consent, and with a record anybody can check."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from metal.cli.face import Face
from metal.cli.verbs.wipe import command
from metal.controller import live_work
from metal.controller.erasures import identity_of, keep, verify
from metal.controller.progress import silent
from metal.model.erasure import Erasure, text_of
from metal.model.errors import BadInput, Failed, Refused
from metal.model.life import Life

SERIALS = ("S1A", "S1B")


def wipe(rack: Any, *serials: str) -> live_work.Worked:
    (one,) = live_work.wipe(rack, {"alba1": serials}, "ana", progress=silent)
    return one


def test_erased_and_recorded(rack: Any) -> None:
    rack.machines["alba1"].disks["sda"].system = "somebody's data"
    one = wipe(rack, *SERIALS)
    assert one.ok, one.error
    assert [d.erased for d in rack.machines["alba1"].disks.values()] == [1, 1]
    assert rack.machines["alba1"].disks["sda"].blank
    records = [verify(rack, file) for file in one.records]
    assert [(r.disk_serial, r.result, r.verified, r.by) for r in records if r] == [
        ("S1A", "erased", "zeros", "ana"),
        ("S1B", "erased", "zeros", "ana"),
    ]
    assert records[0] and records[0].donor == "Tejo University"
    assert rack.life("alba1") is Life.ENROLLED
    assert rack.machines["alba1"].power == "off"


def test_a_donor_is_told_of_sectors_that_nobody_can_look_at(rack: Any, golden: Any) -> None:
    rack.machines["alba1"].faults.add("disk-smart")  # of its last disk
    sound, ill = (verify(rack, file) for file in wipe(rack, *SERIALS).records)
    assert sound and ill and (sound.given_up, ill.given_up) == (0, 24)
    assert "Given up" not in text_of(sound)
    golden("erasure-given-up.txt", text_of(RECORD.model_copy(update={"given_up": 24})))


def test_one_disk_and_one_that_is_not_there(rack: Any) -> None:
    file = rack.folder / "inventory.toml"
    file.write_text(file.read_text().replace('"S1A"', '"S9Z"'))  # somebody swapped it since
    rack.reload()
    one = wipe(rack, "S1B", "S9Z")
    assert (one.ok, one.exit_code) == (False, 1)
    assert [d.erased for d in rack.machines["alba1"].disks.values()] == [0, 1]
    good, bad = (json.loads(f.read_text()) for f in one.records)
    assert (good["result"], bad["result"]) == ("erased", "not erased")
    assert bad["why"] == "no disks there have that serial number"


def test_a_donor_checks_it_with_openssh_alone(rack: Any, tmp_path: Path) -> None:
    text = wipe(rack, "S1A").records[0].with_suffix(".txt")
    donor = tmp_path / "donor"
    donor.mkdir()
    for file in (text, text.with_name(f"{text.name}.sig"), text.parent / "allowed_signers"):
        (donor / file.name).write_bytes(file.read_bytes())
    (line,) = [x for x in text.read_text().splitlines() if "ssh-keygen" in x]
    good = subprocess.run(["sh", "-c", line], cwd=donor, capture_output=True, text=True)
    assert (good.returncode, good.stderr) == (0, ""), good
    assert f'Good "metal-erasure" signature for {identity_of(rack)}' in good.stdout
    (donor / text.name).write_text(text.read_text().replace("S1A", "S1B"))
    assert subprocess.run(["sh", "-c", line], cwd=donor, capture_output=True).returncode != 0


def test_changed_records_are_refused(rack: Any) -> None:
    file = wipe(rack, "S1A").records[0]
    file.write_text(file.read_text().replace('"S1A"', '"S1B"'))
    with pytest.raises(Refused, match="signature is not of this text"):
        verify(rack, file)
    file.with_name(f"{file.name}.sig").unlink()
    with pytest.raises(BadInput, match="no signature beside it"):
        verify(rack, file)


@pytest.mark.parametrize("path", [[Life.INSTALLED], [Life.INSTALLED, Life.MEMBER]])
def test_refused_while_disks_are_in_use(rack: Any, path: list[Life]) -> None:
    for life in path:
        rack.store.servers.move("alba1", life)
    one = wipe(rack, *SERIALS)
    assert (one.ok, one.exit_code) == (False, 3)
    assert rack.calls == [], "its power was not touched"


def run(rack: Any, *words: str) -> Any:
    return CliRunner().invoke(command, words, obj=Face(workspace=str(rack.folder)))


def test_nothing_without_consent(rack: Any) -> None:
    for words in (["alba1"], ["alba1", "--confirm", "yes"], ["alba1", "--confirm", "erase 1"]):
        result = run(rack, *words)
        assert isinstance(result.exception, Refused), result
    assert rack.calls == []
    assert not (rack.folder / "erasures").exists()


def test_nothing_is_erased_that_could_not_be_recorded(rack: Any) -> None:
    (rack.folder / "erasures").write_text("a file where the folder should be")
    with pytest.raises(Failed, match="cannot be written") as told:
        wipe(rack, *SERIALS)
    assert "permissions" in told.value.mend
    assert rack.calls == [] and [d.erased for d in rack.machines["alba1"].disks.values()] == [0, 0]


def test_told_before_anybody_is_asked(rack: Any) -> None:
    assert isinstance(run(rack, "alba4", "--confirm", "erase 2").exception, BadInput)
    assert isinstance(run(rack, "alba1", "alba2", "--disk", "S1A").exception, BadInput)
    mistyped = run(rack, "alba1", "--disk", "S1X", "--confirm", "erase 1").exception
    assert isinstance(mistyped, BadInput) and "S1A" in mistyped.mend
    rack.store.servers.move("alba1", Life.INSTALLED)
    refused = run(rack, "alba1", "--confirm", "erase 2").exception
    assert isinstance(refused, Refused) and "in use" in refused.what


def test_verify_by_command(rack: Any) -> None:
    file = wipe(rack, "S1A").records[0]
    result = run(rack, "verify", str(file))
    assert result.exit_code == 0, result
    assert result.stdout == f"{file}: as it was signed; disk S1A of alba1: erased\n"


def test_who_signed_nothing_makes_no_key_to_verify(rack: Any, tmp_path: Path) -> None:
    file = wipe(rack, "S1A").records[0]
    other = tmp_path / "other"
    other.mkdir()
    (other / "inventory.toml").write_text((rack.folder / "inventory.toml").read_text())
    result = CliRunner().invoke(command, ["verify", str(file)], obj=Face(workspace=str(other)))
    assert isinstance(result.exception, Refused) and "made in" in result.exception.mend
    assert not (other / "state").exists()


RECORD = Erasure(
    fleet="attic",
    donor="Tejo University",
    contact="noc@tejo.example.edu",
    site="row 2",
    server="alba1",
    server_model="Dell Inc. PowerEdge R640",
    server_serial="7X3K9Q1",
    disk_model="SAMSUNG MZ7LH960",
    disk_serial="S45NNC0R/1",
    disk_bytes=960197124096,
    result="erased",
    method="ATA secure erase",
    verified="zeros",
    samples=256,
    began="2026-11-25T10:00:00+00:00",
    ended="2026-11-25T10:04:11+00:00",
    recorded="2026-11-25T10:05:00+00:00",
    by="ana",
    operation=7,
)


def test_the_text(golden: Any) -> None:
    golden("erasure.txt", text_of(RECORD))


def test_the_same_record_again_is_the_same_file(rack: Any) -> None:
    first = keep(rack, RECORD)
    before = first.read_bytes()
    assert keep(rack, RECORD) == first
    assert first.read_bytes() == before
    assert first.name == "2026-11-25-alba1-S45NNC0R_1-7.json"
