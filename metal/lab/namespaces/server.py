"""A server's own files: what libvirtd and QEMU find on its disk, which outlives its power."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from metal.lab.namespaces.wire import Names
from metal.model.errors import Failed

HERE = Path(__file__).parent
_LIBVIRTD = """\
listen_tls = 0
listen_tcp = 1
listen_addr = "{address}"
auth_tcp = "none"
auth_unix_rw = "none"
host_uuid = "{uuid}"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
keepalive_interval = 2
keepalive_count = 3
"""
_QEMU = """\
user = "root"
group = "root"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
migration_host = "{address}"
migration_address = "{address}"
"""
_POOL = """\
<pool type='dir'>
  <name>vms</name>
  <target><path>/var/lib/libvirt/images</path></target>
</pool>
"""


@dataclass(frozen=True)
class Server:
    """One server of the lab, its files in `folder`."""

    name: str
    folder: Path
    names: Names
    number: int

    @property
    def address(self) -> str:
        return self.names.address(self.number)

    @property
    def pid(self) -> int | None:
        """Of its first process, as this machine counts; None when it is off."""
        try:
            text = (self.folder / "pid").read_text().strip()
            state = Path("/proc", text, "stat").read_text().rpartition(") ")[2][:1] if text else "Z"
        except OSError:
            return None
        return int(text) if state != "Z" else None

    def write(self, hosts: str) -> None:
        etc = self.folder / "etc" / "libvirt"
        for part in ("qemu/autostart", "storage/autostart"):
            (etc / part).mkdir(parents=True)
        for part in ("var/lib/libvirt/images", "var/log/libvirt/qemu"):
            (self.folder / part).mkdir(parents=True)
        uuid = UUID(int=(self.names.lab << 32) + self.number)
        (etc / "libvirtd.conf").write_text(_LIBVIRTD.format(address=self.address, uuid=uuid))
        (etc / "qemu.conf").write_text(_QEMU.format(address=self.address))
        (etc / "storage" / "vms.xml").write_text(_POOL)
        (etc / "storage" / "autostart" / "vms.xml").symlink_to("/etc/libvirt/storage/vms.xml")
        (self.folder / "etc" / "hosts").write_text(hosts)
        for script in ("server.sh", "chassis.sh"):
            shutil.copy(HERE / script, self.folder / script)
            (self.folder / script).chmod(0o755)
        (self.folder / "chassis.conf").write_text(
            f"space={self.names.server(self.name)}\n"
            f"cable={self.names.cable(self.number)}\nname={self.name}\n"
        )

    def power(self, wanted: str) -> None:
        """As its BMC does it, without asking the BMC."""
        value = {"on": "1", "off": "0"}[wanted]
        words = [str(self.folder / "chassis.sh"), str(self.folder), self.names.switch]
        done = subprocess.run(
            [*words, "set", "power", value], capture_output=True, text=True, timeout=30
        )
        if done.returncode:
            raise Failed(f"power {wanted}: {done.stderr.strip()}", where=self.name)

    def console(self, vm: str) -> Path:
        """What the VM's console said while it ran here."""
        return self.folder / "var" / "log" / "libvirt" / "qemu" / f"{vm}-console.log"
