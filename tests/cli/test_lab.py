"""`metal lab` as a person types it, where no lab is needed to say no."""

from pathlib import Path

import pytest

from metal.cli import main
from metal.lab.daemon import LABS, numbers
from metal.lab.topology import make_workspace, scans, topology
from metal.model.errors import BadInput


def test_only_namespaces_have_a_real_ceph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", "up", "--ceph", str(tmp_path / "lab")]) == BadInput.exit_code
    assert "--engine namespaces" in capsys.readouterr().err
    assert not (tmp_path / "lab").exists()


def test_a_lab_beside_others_has_a_number_of_its_own_folder(tmp_path: Path) -> None:
    one, other = numbers(tmp_path / "one"), numbers(tmp_path / "other")
    assert one == numbers(tmp_path / "one")
    assert one[0] == other[0] == LABS[0], "alone it has the number that the docs have"
    assert sorted(one) == sorted(other) == list(LABS)
    assert len({numbers(tmp_path / str(n))[1] for n in range(40)}) > 20


def test_a_scan_is_named_for_each_site(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    make_workspace(Path(__file__).parents[2], folder, topology(20, 1.0))
    assert scans(folder) == [
        "127.20.10.0/24:6443",
        "127.20.20.0/24:6443",
        "127.20.20.0/24:6623",
        "127.20.30.0/24:6443",
        "127.20.30.0/24:6623",
        "127.20.40.0/24:6623",
    ]
