"""The guest of a lab: Debian's cloud kernel with an initrd of a megabyte that counts.

Ten times a second it writes the next number to the first sector of its disk, durably, and says so
on its console with its own clock. After a restart it goes on from what its disk holds: what was
lost, when it was written twice and how long it stood still can all be read from outside.
"""

import fcntl
import gzip
import lzma
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from metal.live.cpio import Cpio
from metal.model.errors import Failed, Refused, Unreachable

CACHE = Path("/var/cache/metal/guest")
PACKAGE = "linux-image-cloud-amd64"
BUSYBOX = Path("/bin/busybox")
CMDLINE = "console=ttyS0 quiet panic=1 no_timer_check tsc=unstable"
# In the order in which they need each other.
MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("virtio_blk", "button", "evdev"),
)
READY = "metal-guest ready"
INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
exec </dev/null >/dev/ttyS0 2>&1
for module in %(modules)s; do insmod /lib/$module.ko; done
tries=0
until [ -b /dev/vda ] || [ $tries = 100 ]; do usleep 50000; tries=$((tries + 1)); done
acpid -f -c /etc/acpi -l /dev/null &
count=0
[ -b /dev/vda ] && count=$(dd if=/dev/vda bs=512 count=1 2>/dev/null | head -n 1 | tr -cd 0-9)
[ -z "$count" ] && count=0
echo "%(ready)s at $count"
[ -b /dev/vda ] || poweroff -f
while :; do
    next=$(expr "$count" + 1)
    # conv=fsync returns once the disk says that it is durable.
    if printf '%%-511s\\n' "$next" | dd of=/dev/vda bs=512 conv=fsync 2>/dev/null; then
        count=$next
        read -r up _ </proc/uptime
        echo "count $count up $up"
    else
        echo "disk error at $next"
    fi
    usleep 100000
done
"""
POWER_BUTTON = "#!/bin/busybox sh\nsync\npoweroff -f\n"


@dataclass(frozen=True)
class Guest:
    kernel: Path
    initrd: Path
    cmdline: str = CMDLINE


def ensure_guest(cache: Path = CACHE) -> Guest:
    """Kernel and initrd, fetched through this machine's own apt sources when they are not there.

    Refused without busybox-static; Unreachable when apt cannot fetch the kernel.
    """
    if platform.machine() != "x86_64":
        raise Refused("the guest is made for x86_64", where="this machine")
    if not BUSYBOX.is_file():
        raise Refused(
            f"{BUSYBOX} is not there", where="this machine", mend="apt install busybox-static"
        )
    kernel, initrd = cache / "vmlinuz", cache / "initrd.gz"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another lab may come up this moment
        if not kernel.is_file():
            _fetch(cache)
        _write_initrd(cache, initrd)
    return Guest(kernel, initrd)


def _fetch(cache: Path) -> None:
    """The kernel and the few modules we need; the rest of the package is not kept."""
    with tempfile.TemporaryDirectory(prefix="metal-guest-") as name:
        folder = Path(name)
        depends = _apt(folder, "apt-cache", "depends", PACKAGE)
        found = re.search(r"Depends: (linux-image-\S+-cloud-amd64)", depends)
        if found is None:
            raise Unreachable(
                f"no {PACKAGE} in this machine's apt sources", mend="apt-get update, and again"
            )
        _apt(folder, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", found[1])
        (package,) = folder.glob("*.deb")
        _apt(folder, "dpkg-deb", "-x", str(package), "image")
        for module in MODULES:
            _keep_module(folder / "image", cache, module)
        (kernel,) = (folder / "image" / "boot").glob("vmlinuz-*")
        partial = cache / "vmlinuz.part"
        shutil.copyfile(kernel, partial)
        partial.rename(cache / "vmlinuz")


def _keep_module(image: Path, cache: Path, module: str) -> None:
    files = [
        file
        for file in image.glob("**/kernel/**/*.ko*")
        if file.name.partition(".")[0].replace("-", "_") == module
    ]
    if files:
        raw = files[0].read_bytes()
        (cache / f"{module}.ko").write_bytes(
            lzma.decompress(raw) if files[0].suffix == ".xz" else raw
        )


def _write_initrd(cache: Path, initrd: Path) -> None:
    """Always written anew: it takes no time, and this file may have changed."""
    there = [module for module in MODULES if (cache / f"{module}.ko").is_file()]
    init = INIT % {"modules": " ".join(there), "ready": READY}
    partial = initrd.with_suffix(".part")
    with gzip.GzipFile(partial, "wb", compresslevel=1, mtime=0) as out, Cpio(out) as cpio:  # type: ignore[arg-type]
        for folder in ("bin", "lib", "proc", "sys", "dev", "etc", "etc/acpi", "etc/acpi/PWRF"):
            cpio.folder(folder)
        cpio.file("bin/busybox", BUSYBOX.read_bytes(), 0o755)
        cpio.file("init", init.encode(), 0o755)
        cpio.file("etc/acpi/PWRF/00000080", POWER_BUTTON.encode(), 0o755)
        for module in there:
            cpio.file(f"lib/{module}.ko", (cache / f"{module}.ko").read_bytes())
    partial.rename(initrd)


def _apt(folder: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        kind = Unreachable if words[0] == "apt-get" else Failed
        raise kind(f"{words[0]}: {last}", where="this machine", mend="apt-get update, and again")
    return done.stdout
