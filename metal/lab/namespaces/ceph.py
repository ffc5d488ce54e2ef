"""The trio's Ceph: a monitor and an OSD on each server, a manager on two of them.

Real daemons on files. They are started by the server they are on (server.sh) and die with it;
what is done here is done once: keys, the monitors' and OSDs' stores, the pool.
"""

import json
import shutil
import subprocess
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from metal.lab.namespaces.server import Server
from metal.model.errors import Failed

POOL = "vms"
CLIENT = "client.vms"
"""Whom libvirt and QEMU log in as."""
MANAGERS = 2
"""Each takes 250 MB: one to work, one to take over."""
OSD_BYTES = 8 << 30
"""Of a sparse file."""
NEEDED = {
    "ceph": "ceph-common",
    "ceph-mon": "ceph-mon",
    "ceph-osd": "ceph-osd",
    "ceph-mgr": "ceph-mgr",
    "sshd": "openssh-server",
}
PLUGINS = {
    "libvirt/storage-backend/libvirt_storage_backend_rbd.so": "libvirt-daemon-driver-storage-rbd",
    "qemu/block-rbd.so": "qemu-block-extra",
}
_CONF = """\
[global]
fsid = {fsid}
mon_host = {monitors}
mon_initial_members = {names}
# Losses are noticed in seconds: nothing here is far away, and nobody wants to wait.
osd_heartbeat_interval = 1
osd_heartbeat_grace = 5
mon_osd_adjust_heartbeat_grace = false
mon_osd_min_down_reporters = 1
mon_lease = 2
mon_tick_interval = 1
# An old number of a client is not taken back, or the cluster would never be well.
auth_allow_insecure_global_id_reclaim = false
osd_pool_default_size = 3
osd_pool_default_min_size = 2
osd_pool_default_pg_autoscale_mode = off
# Small: three servers share one machine.
bluestore_block_size = {size}
bluestore_cache_autotune = false
bluestore_cache_size = 33554432
bluestore_fsck_on_mount = false
osd_op_num_shards = 1
osd_op_num_threads_per_shard = 1
mgr_initial_modules =
mon_data_avail_warn = 1
mon_data_avail_crit = 0
run_dir = /run/ceph
log_to_file = false
log_to_stderr = true
mon_cluster_log_to_file = false

[client]
keyring = /etc/ceph/keyring
"""
_CLIENT = {
    "mon_client_ping_interval": "1",
    "mon_client_ping_timeout": "4",
    "mon_client_hunt_interval": "1",
}
"""How soon a client leaves a dead monitor. libvirt reads no ceph.conf: its pool has them too."""
_DAEMONS = """
[mon.{name}]
host = {name}
mon_data = {folder}/mon

[mgr.{name}]
host = {name}
mgr_data = {folder}/mgr
keyring = {folder}/keyring

[osd.{osd}]
host = {name}
osd_data = {folder}/osd
keyring = {folder}/keyring
"""
_STORAGE = f"""\
<pool type='rbd' xmlns:rbd='http://libvirt.org/schemas/storagepool/rbd/1.0'>
  <name>{POOL}</name>
  <source>
    {{hosts}}
    <name>{POOL}</name>
    <auth type='ceph' username='{CLIENT.partition(".")[2]}'><secret uuid='{{secret}}'/></auth>
  </source>
  <rbd:config_opts>{{options}}</rbd:config_opts>
</pool>
"""
_SECRET = """\
<secret ephemeral='no' private='yes'>
  <uuid>{secret}</uuid>
  <usage type='ceph'><name>{client}</name></usage>
</secret>
"""


class Ceph:
    """Of the servers of a lab in `folder`."""

    def __init__(self, folder: Path, servers: Mapping[str, Server]) -> None:
        self.folder, self.servers = folder / "ceph", servers

    # ── Before the servers are switched on ──────────────────────────────────────────────────

    def write(self) -> None:
        """All that the daemons find when they start; the OSDs' stores come later (`form`)."""
        self.folder.mkdir(mode=0o700)
        fsid = str(uuid.uuid4())
        self._write_conf(fsid)
        self._make_keys()
        self._make_monitors(fsid)
        secret = str(uuid.uuid4())
        for server in self.servers.values():
            self._give(server, secret)

    def _write_conf(self, fsid: str) -> None:
        text = _CONF.format(
            fsid=fsid,
            monitors=",".join(map(_endpoints, self.servers.values())),
            names=",".join(self.servers),
            size=OSD_BYTES,
        )
        text += "".join(f"{name} = {value}\n" for name, value in _CLIENT.items())
        for osd, (name, server) in enumerate(self.servers.items()):
            text += _DAEMONS.format(name=name, osd=osd, folder=_own(server))
        (self.folder / "ceph.conf").write_text(text)

    def _make_keys(self) -> None:
        """Everybody's at once: the monitors are born knowing them."""
        everybody = self._key("mon.", self.folder / "all.keyring", mon="allow *")
        all_of = {"mon": "allow *", "osd": "allow *", "mgr": "allow *"}
        self._key("client.admin", self.folder / "keyring", **all_of)
        self._key(CLIENT, self._vms, mon="profile rbd", osd=f"profile rbd pool={POOL}")
        made = [self.folder / "keyring", self._vms]
        for osd, (name, server) in enumerate(self.servers.items()):
            for part in ("osd", "mgr"):
                (_own(server) / part).mkdir(parents=True)
            own = _own(server) / "keyring"
            self._key(f"osd.{osd}", own, mon="profile osd", mgr="profile osd", osd="allow *")
            self._key(f"mgr.{name}", own, mon="profile mgr", osd="allow *")
            made.append(own)
        for file in made:
            self._run("ceph-authtool", str(everybody), "--import-keyring", str(file))

    def _key(self, name: str, at: Path, **caps: str) -> Path:
        """A new key of `name` in the keyring `at`, with what it allows: daemon → capability."""
        create = [] if at.exists() else ["--create-keyring"]
        words = [word for daemon, may in caps.items() for word in ("--cap", daemon, may)]
        self._run("ceph-authtool", *create, str(at), "--gen-key", "-n", name, *words)
        at.chmod(0o600)
        return at

    def _make_monitors(self, fsid: str) -> None:
        monmap = str(self.folder / "monmap")
        members = [w for n, s in self.servers.items() for w in ("--addv", n, _endpoints(s))]
        self._run("monmaptool", "--create", "--fsid", fsid, *members, monmap)
        for name in self.servers:
            keys = str(self.folder / "all.keyring")
            self._run("ceph-mon", "--mkfs", "-i", name, "--monmap", monmap, "--keyring", keys)
        for server in list(self.servers.values())[:MANAGERS]:
            (_own(server) / "manages").touch()

    def _give(self, server: Server, secret: str) -> None:
        """The server's /etc/ceph, and libvirt's pool and its secret there."""
        etc = server.folder / "etc" / "ceph"
        etc.mkdir()
        for name in ("ceph.conf", "keyring"):
            shutil.copy(self.folder / name, etc / name)
        self._run("ceph-authtool", str(etc / "keyring"), "--import-keyring", str(self._vms))
        libvirt = server.folder / "etc" / "libvirt"
        hosts = "".join(f"<host name='{s.address}' port='6789'/>" for s in self.servers.values())
        options = "".join(f"<rbd:option name='{k}' value='{v}'/>" for k, v in _CLIENT.items())
        pool = _STORAGE.format(hosts=hosts, secret=secret, options=options)
        (libvirt / "storage" / "vms.xml").write_text(pool)
        # It is started when it is first asked for: at boot it would wait for the monitors.
        (libvirt / "storage" / "autostart" / "vms.xml").unlink()
        secrets = libvirt / "secrets"
        secrets.mkdir(mode=0o700)
        (secrets / f"{secret}.xml").write_text(_SECRET.format(secret=secret, client=CLIENT))
        key = self._run("ceph-authtool", str(self._vms), "-n", CLIENT, "--print-key").strip()
        value = secrets / f"{secret}.base64"
        value.touch(mode=0o600)
        value.write_text(key)

    @property
    def _vms(self) -> Path:
        return self.folder / "vms.keyring"

    # ── Once the monitors run ───────────────────────────────────────────────────────────────

    def form(self, wait: Callable[[Callable[[], bool], float, str], None]) -> None:
        """OSDs and the pool; returns once Ceph says HEALTH_OK."""
        for osd, server in enumerate(self.servers.values()):
            name = str(uuid.uuid4())
            self._run("ceph", "--connect-timeout", "60", "osd", "new", name, str(osd))
            self._run("ceph-osd", "-i", str(osd), "--mkfs", "--osd-uuid", name)
            (_own(server) / "osd" / "made").touch()
        self._run("ceph", "osd", "pool", "create", POOL, "16")
        self._run("ceph", "osd", "pool", "application", "enable", POOL, "rbd")
        wait(lambda: self.health() == "HEALTH_OK", 120, "Ceph does not get well")

    def health(self) -> str:
        """Ceph's word, or "silent" when no quorum answers."""
        try:
            told = json.loads(self._run("ceph", "--connect-timeout", "5", "health", "-f", "json"))
        except Failed:
            return "silent"
        return str(told["status"])

    def _run(self, program: str, *words: str) -> str:
        """Here, which has a cable to the servers' network."""
        conf = str(self.folder / "ceph.conf")
        more = [] if program in ("ceph-authtool", "monmaptool") else ["-c", conf]
        if program == "ceph":
            more += ["-k", str(self.folder / "keyring")]
        if program in ("ceph-mon", "ceph-osd"):
            more += ["--admin-socket", ""]
        done = subprocess.run(
            [program, *more, *words], capture_output=True, text=True, timeout=120, cwd=self.folder
        )
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise Failed(
                f"{program}: {''.join(said) or done.returncode}",
                where=str(self.folder),
                mend="see ceph-mon.log and ceph-osd.log of each server",
            )
        return done.stdout


def _own(server: Server) -> Path:
    """Where its daemons keep what is theirs."""
    return server.folder / "var" / "lib" / "ceph"


def _endpoints(server: Server) -> str:
    return f"[v2:{server.address}:3300,v1:{server.address}:6789]"


def missing() -> list[str]:
    """Debian packages that such a Ceph needs and that are not there."""
    programs = [package for tool, package in NEEDED.items() if shutil.which(tool) is None]
    libraries = Path("/usr/lib")
    plugins = [p for file, p in PLUGINS.items() if not any(libraries.glob(f"*/{file}"))]
    return [*programs, *plugins]
