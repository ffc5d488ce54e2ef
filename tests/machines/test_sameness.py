"""Two systems compared by what `FACTS` prints on them: a record of one, and it changed."""

import re
from pathlib import Path

import pytest

from metal.lab.machines.sameness import FACTS, differences, sections

ONE = (Path(__file__).parent / "facts-image.txt").read_text()
"""In the form of `FACTS`: packages, sources and units as it printed them in the root of an image,
the rest put together from what an install on two disks wrote."""
OWN = {"one": "SERVER", "10.77.0.11": "ADDRESS"}


def another(text: str) -> str:
    """As another machine of the same kind would print it: its own name, address and identities."""
    parts = text.split("== identities\n")
    mine, rest = parts[1].split("== packages", 1)
    ids = "".join(f"{line[::-1]}\n" for line in mine.splitlines())
    text = f"{parts[0]}== identities\n{ids}== packages{rest}"
    return re.sub(r"\bone\b", "two", text.replace("10.77.0.11", "10.77.0.12"))


OTHER, OWN_OTHER = another(ONE), {"two": "SERVER", "10.77.0.12": "ADDRESS"}


def compared(other: str, **options: object) -> list[str]:
    return differences(ONE, other, (OWN, OWN_OTHER), **options)  # type: ignore[arg-type]


def test_every_section_was_recorded() -> None:
    names = [line.split()[1] for line in FACTS.splitlines() if line.startswith("say ")]
    assert [name for name in names if not sections(ONE).get(name)] == []


def test_another_machine_of_the_same_kind_does_not_differ() -> None:
    assert compared(OTHER) == []


@pytest.mark.parametrize(
    ("section", "old", "new"),
    [
        ("fstab", "errors=remount-ro", "defaults"),
        ("crypttab", "luks,discard", "luks"),
        ("packages", "openssh-server", "telnetd"),
        ("network", "gateway 10.77.0.1", "gateway 10.77.0.2"),
        ("keys", "luks2", "luks1"),
        ("initramfs", "-p 2222", "-p 22"),
        ("loader", "console=ttyS0", "quiet"),
        ("settings", "Etc/UTC", "Europe/Berlin"),
    ],
)
def test_what_differs_is_named(section: str, old: str, new: str) -> None:
    before, _, rest = OTHER.partition(f"== {section}\n")
    body, mark, after = rest.partition("\n== ")
    assert old in body
    found = compared(f"{before}== {section}\n{body.replace(old, new, 1)}{mark}{after}")
    assert {line.split(":")[0] for line in found} == {section}
    assert any("only the first" in line for line in found)


def test_sizes_may_differ_by_some_alignment_only() -> None:
    lines = sections(OTHER)["partitions"]
    disk = next(line for line in lines if line.startswith("lvm "))
    size = next(word for word in disk.split() if word.isdigit())
    assert compared(OTHER.replace(size, str(int(size) + 2**20))) == []
    assert len(compared(OTHER.replace(size, str(int(size) + 2**30)))) == 2


def test_an_identity_that_both_have_is_named() -> None:
    shared = sections(ONE)["identities"][0]
    found = compared(OTHER.replace("== identities\n", f"== identities\n{shared}\n"))
    assert found == [f"identities: both have {shared[:24]}"]


def test_what_is_allowed_to_differ_is_not_told() -> None:
    more = OTHER.replace("== packages\n", "== packages\ninstallation-report 2 ii\n")
    assert compared(more) == ["packages: only the second: installation-report 2 ii"]
    assert compared(more, allowed={"packages": "installation-report .*"}) == []
