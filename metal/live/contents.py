"""What the live system is made of. Pure."""

PACKAGES = (
    "linux-image-amd64",
    "kmod",
    "iproute2",
    "python3",
    # memory and processors
    "stressapptest",
    "stress-ng",
    # disks
    "smartmontools",
    "nvme-cli",
    "hdparm",
    # what is in the box
    "dmidecode",
    "ethtool",
    # what the image installer needs besides
    "cryptsetup-bin",
    "dosfstools",
    "e2fsprogs",
    "fdisk",
    "lvm2",
    "mdadm",
    "zstd",
)

FIRMWARE = (
    "firmware-bnx2",
    "firmware-bnx2x",
    "firmware-myricom",
    "firmware-netxen",
    "firmware-qlogic",
)
"""Without it the network cards of many servers of 2008 to 2016 stay dark once Linux has them: 6 MB
of Debian's non-free-firmware, left out where the mirror does not carry it."""

NOT_UNPACKED = (
    "usr/share/doc/*",
    "usr/share/man/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    # stress-ng is linked with OpenGL's front end, which loads this only to draw.
    "usr/lib/x86_64-linux-gnu/libLLVM*",
    "usr/lib/x86_64-linux-gnu/libgallium*",
    "usr/lib/x86_64-linux-gnu/libz3*",
)
"""Shell patterns of files that no package may bring; * goes over slashes."""

NOT_FILES = (
    *NOT_UNPACKED,
    "boot/initrd.img-*",
    "usr/share/X11/*",
    "usr/share/bash-completion/*",
    "usr/share/zoneinfo/*",
    "usr/share/perl*",
    "usr/share/initramfs-tools/*",
    "usr/lib/udev/*",
    "usr/lib/systemd/*",
    "usr/lib/klibc/*",
    "usr/lib/python3*/test/*",
    "usr/lib/python3*/idlelib/*",
    "usr/lib/python3*/ensurepip/*",
    "usr/lib/python3*/pydoc_data/*",
    "usr/lib/python3*/asyncio/*",
    "usr/lib/python3*/unittest/*",
    "usr/lib/python3*/venv/*",
    "usr/lib/python3*/_pyrepl/*",
    "usr/lib/python3*/_pydecimal*",
    "usr/lib/python3/dist-packages/*",
    "usr/bin/perl*",
    "usr/lib/x86_64-linux-gnu/perl*",
    "usr/lib/x86_64-linux-gnu/dri/*",
    "usr/lib/x86_64-linux-gnu/gbm/*",
    "usr/lib/x86_64-linux-gnu/gconv/*",
    "usr/lib/x86_64-linux-gnu/systemd/*",
    "var/cache/*",
    "var/lib/apt/*",
    "var/log/*",
)
"""Files that maintainers' scripts want while it is built, and nobody afterwards."""

BYTECODE = (
    "python3 -m compileall -q -f -x /test/ --invalidation-mode unchecked-hash /usr/lib/python3.*"
)
"""Run in the root while it is built: an old processor takes ten seconds to compile what the agent
imports. Unchecked, because files get another time on their way into the image."""

NOT_MODULES = (
    "sound",
    "arch/x86/kvm",
    "virt",
    "drivers/gpu",
    "drivers/media",
    "drivers/iio",
    "drivers/staging",
    "drivers/net/wireless",
    "drivers/net/can",
    "drivers/net/usb",
    "drivers/net/hamradio",
    "drivers/bluetooth",
    "drivers/input",
    "drivers/hid",
    "drivers/parport",
    "drivers/video",
    "drivers/comedi",
    "drivers/infiniband",
    "drivers/isdn",
    "drivers/accel",
    "drivers/target",
    "net/bluetooth",
    "net/mac80211",
    "net/wireless",
    "net/netfilter",
    "net/can",
    "net/nfc",
    "net/sctp",
    "net/tipc",
    "net/ceph",
    "fs/nfs",
    "fs/nfsd",
    "fs/smb",
    "fs/ceph",
    "fs/ocfs2",
    "fs/gfs2",
    "fs/btrfs",
    "fs/bcachefs",
    "fs/afs",
)
"""Folders of the kernel's modules that no server needs to be tested or installed."""


def wanted(path: str) -> bool:
    """Whether a file of the built system (no slash in front) goes into the image."""
    from fnmatch import fnmatchcase

    _, modules, inside = path.partition("/modules/")
    if modules:
        _, _, inside = inside.partition("/kernel/")
        return not inside.startswith(tuple(f"{folder}/" for folder in NOT_MODULES))
    return not any(fnmatchcase(path, pattern) for pattern in NOT_FILES)
