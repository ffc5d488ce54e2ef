"""Disks in libvirt's pools, against its own test driver."""

from collections.abc import Iterator
from typing import Any

import pytest

from metal.drivers.libvirt.disks import disk_of, ensure_volume

libvirt = pytest.importorskip("libvirt", reason="needs libvirt-python")


class Busy:
    """A pool where another VM's disk is being made: it is refreshed at the third try only."""

    def __init__(self, pool: Any, code: int, says: str) -> None:
        self._pool, self._code, self._says = pool, code, says
        self.refused = 0

    def refresh(self, flags: int) -> None:
        if self.refused < 2:
            self.refused += 1
            error = libvirt.libvirtError(self._says)
            error.err = (self._code, libvirt.VIR_FROM_STORAGE, self._says, 2, "", None, "", -1, -1)
            raise error
        self._pool.refresh(flags)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


@pytest.fixture
def pool() -> Iterator[Any]:
    connection = libvirt.open("test:///default")
    yield connection.storagePoolLookupByName("default-pool")
    connection.close()


def test_a_pool_that_works_for_another_vm_is_waited_for(pool: Any) -> None:
    says = "internal error: pool 'default-pool' has asynchronous jobs running."
    busy = Busy(pool, libvirt.VIR_ERR_INTERNAL_ERROR, says)
    made = ensure_volume(busy, "git-101", 1)
    assert busy.refused == 2
    assert disk_of(pool, "git-101") == made


def test_a_pool_that_fails_is_not_waited_for(pool: Any) -> None:
    broken = Busy(pool, libvirt.VIR_ERR_OPERATION_FAILED, "cannot open directory")
    with pytest.raises(libvirt.libvirtError, match="cannot open"):
        disk_of(broken, "git-101")
    assert broken.refused == 1
