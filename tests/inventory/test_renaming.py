"""A server's new name wherever the inventory names it, and no other byte."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from metal.inventory import load
from metal.inventory.edit import edit
from metal.inventory.mistakes import InventoryErrors
from metal.inventory.renaming import renaming
from metal.model.errors import BadInput, Failed, Refused

BASE = Path(__file__).with_name("base.toml").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inventory.toml").write_text(BASE)
    return tmp_path


def text(folder: Path) -> str:
    return (folder / "inventory.toml").read_text()


def spelled(folder: Path, *changes: tuple[str, str]) -> str:
    """The base with these put in place of those."""
    new = BASE
    for old, wanted in changes:
        assert old in new, old
        new = new.replace(old, wanted)
    (folder / "inventory.toml").write_text(new)
    load(folder)
    return new


def test_every_name_there_is_stays_a_name(folder: Path) -> None:
    """Each server of the base in its turn, and back again."""
    for name in load(folder).servers:
        before = load(folder)
        edit(folder, [renaming(name, "buero-2")])
        after = load(folder)
        assert list(after.servers) == ["buero-2" if n == name else n for n in before.servers]
        assert before.servers[name] == after.servers["buero-2"]
        assert tomllib.loads(text(folder)) != tomllib.loads(BASE)
        edit(folder, [renaming("buero-2", name)])
        assert text(folder) == BASE


REFERENCES = (
    ('cluster = "rio"\n', 'cluster = "rio"\nhome = [\n    "rio2", # best\n    "rio1",\n]\n'),
    (
        'size = "tiny"\n',
        'size = "tiny"\ncluster = "rio2"\nmay_wait = true\nprefers = ["rio2", "zee"]\n',
    ),
    ("[clusters.rio]", '[clusters.rio2]\nservers = ["rio2"]\nceph = false\n\n[clusters.rio]'),
    ('["rio1", "rio2", "rio3"] # one', '["rio1", "rio3"] # rio2 was in it; one'),
)


def test_what_vms_and_clusters_call_it_is_renamed_and_comments_are_not(folder: Path) -> None:
    before = spelled(folder, *REFERENCES[1:])
    edit(folder, [renaming("rio2", "buero-2")])
    wanted = before.replace("rio2", "buero-2").replace("# buero-2 was", "# rio2 was")
    assert text(folder) == wanted
    assert load(folder).vms["irc"].prefers == ("buero-2", "zee")
    before = spelled(folder, REFERENCES[0])
    edit(folder, [renaming("rio2", "buero-2")])
    assert text(folder) == before.replace("rio2", "buero-2")


def test_a_cluster_that_is_not_its_own_or_whose_name_would_be_too_long_stays(
    folder: Path,
) -> None:
    spelled(folder, *REFERENCES[1:])
    edit(folder, [renaming("rio2", "more-than-fifteen")])
    assert load(folder).clusters["rio2"].servers == ("more-than-fifteen",)
    spelled(folder, ("clusters.rio", "clusters.rio1"), ('cluster = "rio"', 'cluster = "rio1"'))
    edit(folder, [renaming("rio1", "buero-2")])
    assert load(folder).clusters["rio1"].servers == ("buero-2", "rio2", "rio3")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[servers.rio2", "[ servers . rio2 "),
        ("[servers.rio2", "[\"servers\".'rio2'"),
        ("servers.rio2", 'servers . "rio2"'),
    ],
)
def test_headers_however_they_are_spelled(folder: Path, old: str, new: str) -> None:
    spelled(folder, (old, new))
    edit(folder, [renaming("rio2", "buero-2")])
    assert "buero-2" in load(folder).servers and "rio2" not in load(folder).servers


def test_what_it_cannot_edit_is_left_alone(folder: Path) -> None:
    whole = "[servers]\n" + BASE.partition("[servers.zee1]\n")[2].partition("\n\n")[0].replace(
        "\n", "\nzee1."
    ).replace('site = "delft"', 'zee1.site = "delft"')
    head, _, rest = BASE.partition("[servers.zee1]\n")
    (folder / "inventory.toml").write_text(head + whole + "\n\n" + rest.partition("\n\n")[2])
    load(folder)
    before = text(folder)
    with pytest.raises(Failed, match="does not know how to edit"):
        edit(folder, [renaming("zee1", "buero-2")])
    assert text(folder) == before


def test_what_cannot_be(folder: Path) -> None:
    with pytest.raises(BadInput, match="no server rio9"):
        edit(folder, [renaming("rio9", "buero-2")])
    with pytest.raises(InventoryErrors, match="no server or VM can be called"):
        edit(folder, [renaming("rio1", "outside")])
    for taken in ("zee1", "www"):
        with pytest.raises(Refused, match=f"{taken} already"):
            edit(folder, [renaming("rio1", taken)])
    assert text(folder) == BASE
    edit(folder, [renaming("rio9", "rio1")])  # somebody did that by hand
    assert text(folder) == BASE
