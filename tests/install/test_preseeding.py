"""The lab's installer stops where the real one would: at whatever was not answered."""

from pathlib import Path

import pytest

from metal.lab.preseeding import (
    ESSENTIAL,
    Prompt,
    Reporter,
    Script,
    parse_preseed,
    parse_script,
    report_urls,
    reporter,
    wanted_disks,
)

PRESEED = (Path(__file__).parent / "golden" / "alba1.cfg").read_text()


@pytest.mark.parametrize("question", ESSENTIAL)
def test_every_essential_answer_is_missed(question):
    lines = PRESEED.replace(f"d-i {question} ", "d-i unrelated/question ")
    with pytest.raises(Prompt, match=question):
        parse_preseed(lines)


def test_a_broken_line_is_a_prompt():
    with pytest.raises(Prompt, match="cannot be parsed"):
        parse_preseed(PRESEED + "\nd-i nonsense\n")


def test_lines_are_continued_and_comments_go():
    extra = (
        "d-i a/b string one \\\n# no\n      two \\\n\n  three\nother x/y string z\nd-i q/r note\n"
    )
    told = parse_preseed(PRESEED + extra)
    assert (told["a/b"], told["q/r"]) == ("one two three", "")
    assert "x/y" not in told


def test_scripts_are_understood():
    text = "#!ipxe\necho hello\n # kernel no\nkernel http://k a=1 --- b\ninitrd http://i\nboot\n"
    script = parse_script(text)
    assert script == Script("http://k", ("a=1", "---", "b"), "http://i")
    assert (script.argument("x", "a"), script.argument("b")) == ("1", None)
    assert parse_script("#!ipxe\nsanboot --drive 0x80 || exit\n") == Script()


@pytest.mark.parametrize("text", ["", "kernel x\nboot", "#!ipxe\nboot", "#!ipxe\nkernal x\nboot"])
def test_broken_scripts_are_errors(text):
    with pytest.raises(ValueError):
        parse_script(text)


def test_only_what_is_posted_is_a_report():
    command = (
        "wget -O x http://h/report/t/no; wget --post-data= http://h/report/t/base || true; "
        "printf '%s' 'curl -f --data \"f=$p\" http://h/report/t/up; then'"
    )
    assert report_urls(command) == {"base": "http://h/report/t/base", "up": "http://h/report/t/up"}


def test_a_late_command_that_would_never_report_is_a_prompt():
    command = "inner=" + "a" * 64 + " outer=" + "b" * 64 + ' curl "http://h/report/t/$phase"'
    assert reporter(command) == Reporter("http://h/report/t", "a" * 64 + "b" * 64)
    for broken in (command.replace("report", "no"), command.replace("outer", "other")):
        with pytest.raises(Prompt, match="up"):
            reporter(broken)


def test_an_early_command_that_chooses_no_disk_is_a_prompt():
    with pytest.raises(Prompt, match="which"):
        wanted_disks("take 'sda' '';")
    with pytest.raises(Prompt, match="takes no disk"):
        wanted_disks("disk_name=sda; debconf-set partman-auto/disk x")
    assert wanted_disks("take 'sda' 'a b'; take sdb ''; debconf-set partman-auto/disk x") == [
        ("sda", "a b"),
        ("sdb", ""),
    ]
