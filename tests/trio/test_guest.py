"""The guest's kernel and initrd, made where several labs come up at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metal.lab.namespaces.guest import BUSYBOX, ensure_guest


@pytest.mark.skipif(not BUSYBOX.is_file(), reason="the guest is made of busybox-static")
def test_two_labs_make_it_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").touch()
    with ThreadPoolExecutor(8) as crew:
        made = set(crew.map(lambda _n: ensure_guest(tmp_path).initrd, range(16)))
    assert [initrd.read_bytes()[:2] for initrd in made] == [b"\x1f\x8b"]
