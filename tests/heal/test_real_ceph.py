"""The blocklist on a real Ceph: one monitor, one OSD in memory, on loopback."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from metal.drivers.ceph import Blocklist
from metal.drivers.commands import Here, Result
from metal.drivers.rbd import Images
from metal.model.errors import Failed, Refused

pytestmark = pytest.mark.lab
NEEDED = ("ceph", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool", "rados", "rbd")
HERE = "127.0.0.1"
CONF = """\
[global]
fsid = 6f1c2a52-1d0c-4a8e-9a53-0d6c2a52f1d0
mon_host = v2:127.0.0.1:16790
mon_initial_members = a
keyring = {folder}/admin.keyring
run_dir = {folder}
log_file = {folder}/$name.log
admin_socket = {folder}/$name.asok
mon_data = {folder}/mon
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 268435456
osd_pool_default_size = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
[osd.0]
keyring = {folder}/osd/keyring
"""


class Ceph:
    def __init__(self, folder: Path) -> None:
        self.folder, self.where = folder, "loopback"
        self.daemons: list[subprocess.Popen[bytes]] = []

    def run(self, argv: object, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """A Runner that finds its way to this Ceph."""
        words = list(argv)  # type: ignore[call-overload]
        words[1:1] = ["-c", str(self.folder / "ceph.conf")]
        return Here().run(words, stdin=stdin, timeout=timeout)

    def must(self, *argv: str) -> str:
        result = self.run(argv)
        assert result.code == 0, f"{argv}: {result.err}"
        return result.out.decode()

    def start(self, *argv: str) -> None:
        words = [argv[0], "-c", str(self.folder / "ceph.conf"), "-f", *argv[1:]]
        with (self.folder / "daemons").open("ab") as out:
            self.daemons.append(subprocess.Popen(words, stdout=out, stderr=out))

    def wait(self, what: str, ready: object) -> None:
        deadline = time.monotonic() + 60
        while not ready():  # type: ignore[operator]
            assert time.monotonic() < deadline, what
            time.sleep(0.2)

    def up(self) -> bool:
        return bool(json.loads(self.must("ceph", "osd", "stat", "-f", "json"))["num_up_osds"])

    def write(self) -> Result:
        """Of a new client, which Ceph sees come from HERE."""
        words = ["rados", "-p", "vms", "put", "a", "/etc/hostname"]
        return self.run(words, timeout=30)

    def close(self) -> None:
        for daemon in reversed(self.daemons):
            daemon.kill()
            daemon.wait()


@pytest.fixture
def ceph(tmp_path: Path) -> Iterator[Ceph]:
    if os.getuid() or (missing := [name for name in NEEDED if not shutil.which(name)]):
        pytest.skip(f"as root, with {', '.join(missing) if not os.getuid() else 'ceph'}")
    made = Ceph(tmp_path)
    (tmp_path / "ceph.conf").write_text(CONF.format(folder=tmp_path))
    for name in ("mon", "osd"):
        (tmp_path / name).mkdir()
    keys, admin, osd = (str(tmp_path / f) for f in ("mon.keyring", "admin.keyring", "osd/keyring"))
    new = ["ceph-authtool", "--create-keyring", "--gen-key"]
    every = ["--cap", "mon", "allow *", "--cap", "osd", "allow *"]
    subprocess.run([*new, keys, "-n", "mon.", "--cap", "mon", "allow *"], check=True)
    subprocess.run([*new, admin, "-n", "client.admin", *every], check=True)
    subprocess.run([*new, osd, "-n", "osd.0", *every], check=True)
    for other in (admin, osd):
        subprocess.run(["ceph-authtool", keys, "--import-keyring", other], check=True)
    monmap = str(tmp_path / "monmap")
    fsid = "6f1c2a52-1d0c-4a8e-9a53-0d6c2a52f1d0"
    where = ["--addv", "a", f"[v2:{HERE}:16790]", "--fsid", fsid]
    subprocess.run(["monmaptool", "--create", *where, monmap], check=True)
    made.must("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keys)
    try:
        made.start("ceph-mon", "-i", "a")
        made.must("ceph", "--connect-timeout", "30", "osd", "new", fsid)
        made.must("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", fsid)
        made.start("ceph-osd", "-i", "0")
        made.wait("the OSD is up", made.up)
        made.must("ceph", "osd", "pool", "create", "vms", "8")
        yield made
    finally:
        made.close()


def test_no_client_of_a_listed_address_writes(ceph: Ceph) -> None:
    assert ceph.write().code == 0
    blocklist = Blocklist([ceph])
    told = blocklist.ensure_listed([HERE, "fd00::7"], 3600)
    assert set(told) == {HERE, "fd00::7"} and all(told.values())
    refused = ceph.write()
    assert refused.code and "(108)" in refused.err
    blocklist.ensure_not_listed([HERE])
    assert set(blocklist.listed()) == {"fd00::7"}
    assert ceph.write().code == 0


def test_an_osd_at_a_listed_address_is_let_in(ceph: Ceph) -> None:
    Blocklist([ceph]).ensure_listed([HERE], 3600)
    osd = ceph.daemons.pop()
    osd.terminate()
    osd.wait(30)
    ceph.must("ceph", "osd", "down", "0")
    assert not ceph.up()
    ceph.start("ceph-osd", "-i", "0")
    ceph.wait("the OSD is up again", ceph.up)


def test_who_has_an_image_open_is_shut_out_and_nobody_else_there(ceph: Ceph) -> None:
    ceph.must("rbd", "create", "vms/vm-101-disk-0", "--size", "64M")
    images = Images(ceph)
    assert images.clients("vms/vm-101-disk-0") == ()
    ceph.start("rbd", "bench", "--io-type", "write", "--io-total", "4T", "vms/vm-101-disk-0")
    ceph.wait("it is open", lambda: images.clients("vms/vm-101-disk-0"))
    (client,) = images.clients("vms/vm-101-disk-0")
    asked: list[str] = []
    with pytest.raises(Refused, match=r"is open at 127\.0\.0\.1, which is no address"):
        images.ensure_shut_out(["vms/vm-101-disk-0"], ["10.0.0.1"], asked.append)
    assert asked == []
    told = images.ensure_shut_out(["vms/vm-101-disk-0"], [HERE], asked.append)
    assert told == (client,) and asked == [f"shut {client} out of vms/vm-101-disk-0"]
    ceph.daemons[-1].wait(60)
    assert ceph.daemons.pop().returncode, "its writes are refused"
    assert ceph.write().code == 0, "another client of the same address writes"
    again = ["rbd", "bench", "--io-type", "write", "--io-total", "1M", "vms/vm-101-disk-0"]
    assert ceph.run(again).code == 0
    assert images.clients("vms/vm-101-disk-0") in ((), (client,))


def test_an_image_that_is_not_there_is_said(ceph: Ceph) -> None:
    with pytest.raises(Failed, match=r"rbd status vms/none .*No such file"):
        Images(ceph).clients("vms/none")
