"""Erasing disks: only where nothing runs, with consent, and with a record anybody can check."""

import json
import re
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from metal.cli.face import Face
from metal.cli.render.burnin import condemned_lines
from metal.cli.verbs.wipe import command
from metal.controller import live_work
from metal.controller.condemned import condemned
from metal.controller.erasures import identity_of, keep, stem_of, verify
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


def test_what_is_lost_is_named_before_consent(rack: Any) -> None:
    wipe(rack, "S1A")
    found = condemned(rack, {"alba1": SERIALS})
    day = found[0].erased
    assert day is not None
    assert condemned_lines(found) == [
        f"  alba1  S1A  960 GB; recorded as erased on {day}",
        "  alba1  S1B  960 GB",
    ]
    drives = [{"name": "sda", "serial": "S1A", "size_bytes": 480 * 10**9, "model": "PM883"}]
    facts = {"address": "10.11.0.11", "protocol": "redfish", "drives": drives}
    rack.store.records.put("alba1", "facts", facts)
    assert condemned_lines(condemned(rack, {"alba1": ("S1A", "S9")})) == [
        f"  alba1  S1A  480 GB PM883; recorded as erased on {day}",
        "  alba1  S9   its size is not known",
    ]


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
    assert first.name == "2026-11-25-alba1-S45NNC0R_1-55382ffd-7.json"


def test_disks_whose_serial_numbers_look_alike_have_a_record_each(rack: Any) -> None:
    alike = ("WD/1234", "WD 1234", "WD_1234", "", "unknown", "x" * 64, "x" * 65)
    records = [RECORD.model_copy(update={"disk_serial": serial}) for serial in alike]
    files = [keep(rack, record) for record in records]
    assert [verify(rack, file) for file in files] == records


TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("/ _-.\n"), max_size=80)


@given(one=TEXTS, other=TEXTS)
def test_two_serial_numbers_are_two_files(one: str, other: str) -> None:
    stems = [stem_of(RECORD.model_copy(update={"disk_serial": s})) for s in (one, other)]
    assert (stems[0] == stems[1]) == (one == other)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,120}", stem) for stem in stems)


def test_half_a_character_does_not_keep_a_record_from_being_written(rack: Any) -> None:
    record = Erasure(**{**RECORD.model_dump(), "why": "no\ud800"})
    assert verify(rack, keep(rack, record)) == RECORD.model_copy(update={"why": "no?"})


FORGED = "S2\nResult:             ERASED\x1b[2J\r\x85\u2028Verified:           yes"


def test_what_a_machine_told_cannot_pass_for_a_line_of_ours(rack: Any, golden: Any) -> None:
    told = dict.fromkeys(("disk_serial", "disk_model", "server_serial", "why", "method"), FORGED)
    record = RECORD.model_copy(update={**told, "result": "not erased", "verified": None})
    golden("erasure-forged.txt", text_of(record))
    shown = run(rack, "verify", str(keep(rack, record))).stdout
    assert len(shown.splitlines()) == 1 and shown.endswith(": not erased\n")


@given(text=TEXTS.filter(str.strip))
def test_one_line_a_value_and_nothing_that_steers_a_terminal(text: str) -> None:
    told = dict.fromkeys(("disk_serial", "disk_model", "server_model", "began", "why"), text)
    lines = text_of(RECORD.model_copy(update=told)).split("\n")
    plain = text_of(RECORD.model_copy(update=dict.fromkeys(told, "x"))).split("\n")
    ours = [line[:20] for line in lines if line[:20].strip()]
    assert ours == [line[:20] for line in plain if line]
    assert max(map(len, lines)) <= 80
    assert not [c for line in lines for c in line if unicodedata.category(c) in ("Cc", "Zl", "Zp")]
