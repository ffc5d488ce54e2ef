"""What is seen of a server's next boot: its initramfs, and what that must bring up."""

from metal.model.base import Frozen


class SeenBoot(Frozen):
    """An initramfs, unpacked and read on the server itself; holds nothing secret."""

    image: str
    files: frozenset[str]
    """Every path in it, without a slash in front."""
    conf: str
    """conf/initramfs.conf and conf/conf.d/*, in their order."""
    premount: str
    """scripts/init-premount/metal: an address to which the kernel's ip= does not lead."""
    dropbear: str
    """etc/dropbear/dropbear.conf."""
    authorized: tuple[str, ...]
    """Who may give the key: "ssh-ed25519 AAAA…" each."""
    host_keys: tuple[str, ...]
    """By which the dropbear is known, the public halves."""
    crypttab: str
    """The image's own."""
    system_crypttab: str
    """The running system's."""
    drivers: tuple[str, ...]
    """Kernel modules of the network cards that it is to be reached through; empty: it has none."""
    linked: tuple[str, ...] = ()
    """Those of these cards, as they were asked for, that have a link now."""
    absent: tuple[str, ...] = ()
    """Those that it does not have."""
    arrays: tuple[str, ...]
    """UUIDs of the md arrays that the running system's / is on; empty: it is on one disk."""
    mdadm: str
    """etc/mdadm/mdadm.conf."""
    builtin: str
    """modules.builtin: what its kernel needs no module for."""
    vlan: str
    """The tag of what the running system has its address on; "": it has none."""
