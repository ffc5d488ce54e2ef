"""`metal lab` as a person types it, where no lab is needed to say no."""

from pathlib import Path

import pytest

from metal.cli import main
from metal.model.errors import BadInput


def test_only_namespaces_have_a_real_ceph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", "up", "--ceph", str(tmp_path / "lab")]) == BadInput.exit_code
    assert "--engine namespaces" in capsys.readouterr().err
    assert not (tmp_path / "lab").exists()
