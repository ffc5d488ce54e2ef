"""The next boot, rehearsed: on an initramfs that Debian's own tools built, and broken in one way
at a time."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from metal.drivers.commands import Here
from metal.drivers.initramfs import read_boot
from metal.install.rehearsal import WantedBoot, obstacles
from metal.lab.initramfs_double import CLEVIS, FILES, NETWORK, TPM, initramfs_tar
from metal.lab.luks_double import PretendSystem, format_luks
from metal.lab.machine import DiskState
from metal.model.errors import Failed

MAC, ADDRESS = "02:00:5e:00:01:01", "10.11.1.11"
KERNEL = "6.1.0-9-amd64"
CRYPTTAB = "system_crypt UUID=4c4c4544-0042-4a10-8036-b4c04f4d3132 none luks,discard\n"
BUILD = """\
set -e
mount -t tmpfs none /boot
printf 'CONFIG_RD_GZIP=y\\nCONFIG_RD_ZSTD=y\\n' >/boot/config-{kernel}
mount -t tmpfs none /usr/lib/firmware 2>/dev/null || true
mkdir -p {work}/lib && cp -a /etc/initramfs-tools {work}/tools
printf 'IP=10.11.1.11::10.11.1.1:255.255.255.0:alba1\\n' >{work}/tools/conf.d/metal
printf 'BOOTIF=01-02-00-5e-00-01-01\\n' >>{work}/tools/conf.d/metal
mount --bind {work}/tools /etc/initramfs-tools
mount --bind {work}/dropbear /etc/dropbear/initramfs
mount -t tmpfs none {modules}
mkdir {modules}/{kernel}
touch {modules}/{kernel}/modules.order {modules}/{kernel}/modules.builtin
touch {modules}/{kernel}/modules.builtin.modinfo
depmod {kernel}
mkinitramfs -c gzip -o {work}/initrd.img {kernel}
"""
TOOLS = ("mkinitramfs", "unmkinitramfs", "dropbearkey", "cpio", "depmod")


def unshared():
    return os.getuid() == 0 and Here().run(("unshare", "--mount", "true")).code == 0


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """(the unpacked tree of a real initramfs, a key that its dropbear lets in, its host key)."""
    hooks = Path("/usr/share/initramfs-tools/hooks")
    lacking = [tool for tool in TOOLS if not shutil.which(tool)]
    lacking += [h for h in ("dropbear", "cryptroot") if not (hooks / h).exists()]
    if lacking or not unshared():
        pytest.skip(f"needs root, dropbear-initramfs, cryptsetup-initramfs: lacks {lacking}")
    work = tmp_path_factory.mktemp("initramfs")
    folder = work / "dropbear"
    folder.mkdir()
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOFQR82sR9l2HrhOaZOTKxsNOH7up80N8Q6GD7Tf1dWk"
    (folder / "authorized_keys").write_text(f"no-pty {key} ana@desk\n# {key}\n")
    options = "-p 2222 -s -j -k -I 300 -c cryptroot-unlock"
    (folder / "dropbear.conf").write_text(f'DROPBEAR_OPTIONS="{options}"\n')
    host = folder / "dropbear_ed25519_host_key"
    made = Here().run(("dropbearkey", "-t", "ed25519", "-f", str(host))).out.decode()
    host_key = next(" ".join(x.split()[:2]) for x in made.splitlines() if x.startswith("ssh-"))
    modules = Path("/usr/lib/modules")
    ours = not modules.exists()
    modules.mkdir(exist_ok=True)
    try:
        script = BUILD.format(work=work, kernel=KERNEL, modules=modules)
        done = Here().run(("unshare", "--mount", "bash", "-c", script), timeout=300)
        assert done.code == 0, done.err
    finally:
        if ours:
            modules.rmdir()
    tree = work / "tree"
    done = Here().run(("unmkinitramfs", str(work / "initrd.img"), str(tree)), timeout=120)
    assert done.code == 0, done.err
    for file in tree.rglob("*"):
        if file.is_file() and not file.is_symlink() and file.stat().st_size > 20_000:
            os.truncate(file, 0)  # nothing of it is run: what is packed again should be small
    # What this machine has not: a disk that is encrypted, and a network card's driver.
    (tree / "cryptroot" / "crypttab").write_text(CRYPTTAB)
    driver = tree / "usr/lib/modules" / KERNEL / "kernel/drivers/net/ethernet/e1000e.ko"
    driver.parent.mkdir(parents=True)
    driver.touch()
    return tree, key, host_key


@pytest.fixture
def server(built, tmp_path):
    """`server(break_)` packs the tree, after `break_` has changed it, and reads it."""
    tree, key, host_key = built
    mine = tmp_path / "tree"
    shutil.copytree(tree, mine, symlinks=True)

    class Machine(Here):
        """This machine, with the crypttab and the network card that a server has."""

        def run(self, argv, **options):
            script = argv[2].replace("/etc/crypttab", str(tmp_path / "crypttab"))
            script = script.replace("/sys/class/net", str(tmp_path / "net"))
            script = script.replace("/etc/kernel", str(tmp_path / "kernel"))
            script = script.replace("/boot/", f"{tmp_path}/")
            return super().run((*argv[:2], script, *argv[3:]), **options)

    (tmp_path / "crypttab").write_text(CRYPTTAB + "swap /dev/sda3 /dev/urandom swap\n")
    card = tmp_path / "net" / "eno1"
    (card / "device" / "driver").mkdir(parents=True)
    (tmp_path / "e1000e").mkdir()
    (card / "device" / "driver" / "module").symlink_to(tmp_path / "e1000e")
    (card / "address").write_text(f"{MAC}\n")

    def read(break_=lambda _tree: None):
        break_(mine)
        image = tmp_path / "initrd.img-1"
        pack = f"find . | cpio --quiet -o -H newc | gzip -1 >{image}"
        subprocess.run(["sh", "-c", pack], cwd=mine, check=True)
        return read_boot(
            Machine(), read.wanted.cards, read.address, "" if read.chosen_there else str(image)
        )

    read.chosen_there, read.address = False, ADDRESS
    read.wanted = WantedBoot(
        address=ADDRESS, mac=MAC, by=("dropbear",), root_keys=(key,), host_key=(host_key,)
    )
    return read


def test_a_good_one_would_come_back(server):
    seen = server()
    assert obstacles(seen, server.wanted) == []
    assert seen.image.endswith("initrd.img-1") and seen.drivers == ("e1000e",)


def test_the_kernel_that_proxmox_boot_tool_pinned_is_the_one_that_boots(server, tmp_path):
    """Newer images lie there, and would not even be unpacked."""
    server.chosen_there = True
    for name in ("initrd.img-9-pve", "initrd.img-7-pve"):
        (tmp_path / name).write_text("no image")
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "proxmox-boot-pin").write_text("1\n")
    assert server().image == str(tmp_path / "initrd.img-1")
    (tmp_path / "kernel" / "next-boot-pin").write_text("1\n")
    (tmp_path / "kernel" / "proxmox-boot-pin").write_text("9-pve\n")
    assert server().image == str(tmp_path / "initrd.img-1")
    (tmp_path / "kernel" / "next-boot-pin").write_text("5-pve\n")
    with pytest.raises(Failed, match=r"pinned has no .*initrd.img-5-pve"):
        server()


def edit(file, old, new):
    def break_(tree):
        (found,) = tree.glob(file)
        text = found.read_text()
        assert old in text
        found.write_text(text.replace(old, new))

    return break_


def remove(pattern):
    def break_(tree):
        found = list(tree.glob(pattern))
        assert found
        for file in found:
            file.unlink()

    return break_


@pytest.mark.parametrize(
    ("break_", "why"),
    [
        (remove("usr/lib/modules/*/**/e1000e.ko"), "driver e1000e is not in it"),
        (edit("conf/conf.d/metal", "10.11.1.11", "10.11.1.99"), "its address is 10.11.1.99, not"),
        (remove("conf/conf.d/metal"), "its address is missing"),
        (edit("conf/conf.d/metal", "01-02-00", "01-02-99"), "on 02:99:5e:00:01:01, not on"),
        (remove("usr/sbin/dropbear"), "no dropbear is in it"),
        (edit("etc/dropbear/dropbear.conf", "-p 2222", "-p 22"), "does not listen on port 2222"),
        (edit("root*/.ssh/authorized_keys", "1dWk", "9dWk"), "does not let in ssh-ed25519"),
        (remove("etc/dropbear/dropbear_ed25519_host_key"), "another host key"),
        (remove("usr/sbin/cryptsetup"), "no cryptsetup is in it"),
        (edit("cryptroot/crypttab", "system_crypt", "other"), "names none of system_crypt"),
        (edit("cryptroot/crypttab", "UUID=4c4c", "UUID=5d5d"), "it looks for system_crypt at"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_is_missing_is_named(server, break_, why):
    found = obstacles(server(break_), server.wanted)
    assert len(found) == 1 and why in found[0], found


def stub(folder, monkeypatch, **scripts):
    """Programs of the server, as far as the reading script sees them."""
    stubs = folder / "stubs"
    stubs.mkdir()
    for name, script in scripts.items():
        (stubs / name).write_text(f"#!/bin/sh\n{script}\n")
        (stubs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{stubs}:{os.environ['PATH']}")


def test_who_is_on_a_vlan_would_wait_untagged_where_nobody_reaches_it(
    server, tmp_path, monkeypatch
):
    """As iproute2 6.1 prints the interface of the address; a bridge has words like a VLAN's."""
    has = "BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT"
    on = "vlan protocol 802.1Q id 32 <REORDER_HDR> addrgenmode eui64"
    bridge = "bridge forward_delay 0 vlan_filtering 1 vlan_protocol 802.1Q bridge_id 8000.2 id 9"
    stub(
        tmp_path,
        monkeypatch,
        ip=f"""case "$*" in
        *"to {ADDRESS}") echo '7: vmbr0.32    inet {ADDRESS}/24 scope global vmbr0.32';;
        *"show dev vmbr0.32") echo '7: vmbr0.32@vmbr0: <{has}\\    promiscuity 0 \\    {on}';;
        *"to 10.11.1.12") echo '6: vmbr0    inet 10.11.1.12/24 scope global vmbr0';;
        *"show dev vmbr0") echo '6: vmbr0: <{has}\\    promiscuity 0 \\    {bridge}';;
        esac""",
    )
    seen = server()
    assert seen.vlan == "32"
    (why,) = obstacles(seen, server.wanted)
    assert "VLAN 32" in why and "untagged" in why and "METAL_VLAN=32" in why
    server.address = "10.11.1.12"
    assert server().vlan == ""


def test_arrays_of_the_running_system_must_be_named_in_it(server, tmp_path, monkeypatch):
    """As lsblk and mdadm print them where / is LVM on LUKS on RAID 1 (util-linux 2.41)."""
    stub(
        tmp_path,
        monkeypatch,
        findmnt="echo /dev/mapper/system-root",
        lsblk="printf '%s\\n' '/dev/mapper/system-root lvm' '/dev/mapper/md1_crypt crypt'"
        " '/dev/md1 raid1' '/dev/vda4 part' '/dev/vda disk' '/dev/vdb4 part' '/dev/vdb disk'",
        mdadm="[ $3 = /dev/md1 ] && echo MD_LEVEL=raid1 && echo MD_UUID=0a1b:2c3d:4e5f:6071",
    )

    def mirrored(tree):
        for name in ("usr/sbin/mdadm", f"usr/lib/modules/{KERNEL}/kernel/drivers/md/raid1.ko.xz"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).touch()
        (tree / "etc/mdadm").mkdir()
        line = "ARRAY /dev/md/1 metadata=1.2 UUID=0a1b:2c3d:4e5f:6071 name=alba1:1\n"
        (tree / "etc/mdadm/mdadm.conf").write_text(f"HOMEHOST <system>\n{line}")

    seen = server(mirrored)
    assert seen.arrays == ("0a1b:2c3d:4e5f:6071",)
    assert obstacles(seen, server.wanted) == []
    lost = edit("etc/mdadm/mdadm.conf", "0a1b", "ffff")
    assert "does not name the array 0a1b" in obstacles(server(lost), server.wanted)[0]


def test_an_image_that_cannot_be_read_is_no_yes(server):
    with pytest.raises(Failed, match="cannot be read"):
        read_boot(Here(), [MAC], ADDRESS, "/nowhere")


# ── judged without an image ─────────────────────────────────────────────────────────────────


@pytest.fixture
def lab():
    """A lab server's initramfs, as the preseed set it up."""
    disk = DiskState()
    format_luks(disk, "keykeykeykeykey")
    disk.installed_with = {
        "packages": ["clevis-initramfs", "clevis-tpm2"],
        "root_keys": ["ssh-ed25519 AAAA"],
        "initramfs_conf": "IP=10.11.1.11::10.11.1.1:255.255.255.0:alba1\n"
        "BOOTIF=01-02-00-5e-00-01-01\n",
        "dropbear_conf": 'DROPBEAR_OPTIONS="-p 2222 -s"\n',
    }
    seen = read_boot(PretendSystem("alba1", disk, "ssh-ed25519 BBBB"), [MAC], ADDRESS)
    wanted = WantedBoot(
        address=ADDRESS,
        mac=MAC,
        by=("dropbear", "tang", "tpm2"),
        root_keys=("ssh-ed25519 AAAA",),
        host_key=("ssh-ed25519 BBBB",),
    )
    return seen, wanted


def without(seen, *files):
    return seen.model_copy(update={"files": seen.files - set(files)})


def test_what_it_opens_itself_with_must_be_in_it(lab):
    seen, wanted = lab
    assert obstacles(seen, wanted) == []
    for file in (*CLEVIS, *TPM):
        (why,) = obstacles(without(seen, file), wanted)
        assert file.rsplit("/", 1)[-1] in why or "script" in why
    person = wanted.model_copy(update={"by": ("dropbear",)})
    assert obstacles(without(seen, *CLEVIS, *TPM), person) == []


def test_a_tpm_alone_needs_no_network(lab):
    seen, wanted = lab
    alone = wanted.model_copy(update={"by": ("tpm2",)})
    bare = without(seen, *FILES[1:]).model_copy(update={"conf": "", "drivers": ()})
    assert obstacles(bare, alone) == []
    assert len(obstacles(bare, wanted)) > 2


def test_a_driver_may_be_in_the_kernel_and_is_written_in_two_ways(lab):
    seen, wanted = lab
    seen = seen.model_copy(update={"drivers": ("virtio_net",)})
    assert "virtio_net is not in it" in obstacles(seen, wanted)[0]
    builtin = seen.model_copy(update={"builtin": "kernel/drivers/net/virtio-net.ko\n"})
    assert obstacles(builtin, wanted) == []
    no_card = seen.model_copy(update={"drivers": ()})
    assert "no network card" in obstacles(no_card, wanted)[0]


def test_a_mirrored_system_needs_its_arrays_assembled(lab):
    seen, wanted = lab
    raid1 = "usr/lib/modules/6.1/kernel/drivers/md/raid1.ko"
    files = seen.files | {"usr/sbin/mdadm", raid1}
    told = {"files": files, "arrays": ("aa:bb",), "mdadm": "ARRAY /dev/md/0 UUID=aa:bb\n"}
    mirrored = seen.model_copy(update=told)
    assert obstacles(mirrored, wanted) == []
    for broken, why in (
        (without(mirrored, "usr/sbin/mdadm"), "no mdadm is in it"),
        (without(mirrored, raid1), "raid1 is not in it"),
        (mirrored.model_copy(update={"mdadm": "HOMEHOST <system>\n"}), "name the array aa:bb"),
    ):
        (found,) = obstacles(broken, wanted)
        assert why in found


def test_over_ipv6_its_script_must_have_the_address(lab):
    seen, wanted = lab
    over6 = wanted.model_copy(update={"address": "2001:db8::11"})
    assert "2001:db8::11" in obstacles(seen, over6)[0]
    script = "ip -6 address add 2001:db8::11/64 dev x"
    assert obstacles(seen.model_copy(update={"premount": script}), over6) == []


def test_cards_are_found_by_name_and_by_the_address_that_a_bond_hides(server, tmp_path):
    """eno1 and eno2 are one bond, and show one address; eno2 has the link, eno9 nobody has."""
    net = tmp_path / "net"
    shutil.copytree(net / "eno1", net / "eno2", symlinks=True)
    for name, own, carrier in (("eno1", MAC, 0), ("eno2", "02:00:5e:00:01:02", 1)):
        (net / name / "bonding_slave").mkdir()
        (net / name / "bonding_slave" / "perm_hwaddr").write_text(f"{own}\n")
        (net / name / "carrier").write_text(f"{carrier}\n")
    server.wanted = server.wanted.model_copy(update={"bond": ("eno1", "eno9", "eno2")})
    seen = server()
    assert (seen.linked, seen.absent, seen.drivers) == (("eno2",), ("eno9",), ("e1000e",))
    (net / "eno1" / "carrier").write_text("1\n")
    server.wanted = server.wanted.model_copy(update={"bond": ()})
    assert server().linked == (MAC,)


TAGGED = """\
IP=off
METAL_ADDRESS=10.11.1.11/24
METAL_GATEWAY=10.11.1.1
METAL_CARDS="eno1 eno2 02:00:5e:00:01:01"
METAL_VLAN=32
"""


@pytest.fixture
def tagged(lab):
    """On VLAN 32 of a bond, as the late commands set it up; and running so."""
    seen, wanted = lab
    told = {"conf": TAGGED, "vlan": "32", "linked": ("eno2",), "files": seen.files | {*NETWORK}}
    return seen.model_copy(update=told), wanted.model_copy(update={"bond": ("eno1", "eno2")})


def test_on_a_vlan_and_a_bond_it_would_come_back_by_its_script(tagged):
    seen, wanted = tagged
    assert obstacles(seen, wanted) == []
    builtin = without(seen, NETWORK[2]).model_copy(update={"builtin": "kernel/net/8021q/8021q.ko"})
    assert obstacles(builtin, wanted) == []


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            "METAL_VLAN=32",
            "METAL_VLAN=33",
            "is on VLAN 32, and it would wait for its key on VLAN 33",
        ),
        ("METAL_VLAN=32", "", "is on VLAN 32, and it would wait for its key on no VLAN"),
        ("10.11.1.11/24", "10.11.1.12/24", "its address is 10.11.1.12, not 10.11.1.11"),
        ("eno1 eno2", "eno1", "does not try the card eno2"),
        ("IP=off", "IP=dhcp", ""),
    ],
)
def test_another_place_than_that_of_the_running_system_is_named(tagged, old, new, why):
    seen, wanted = tagged
    assert old in seen.conf
    found = obstacles(seen.model_copy(update={"conf": seen.conf.replace(old, new)}), wanted)
    assert [why in told for told in found] == ([True] if why else [])


def test_what_its_script_needs_must_be_in_it(tagged):
    seen, wanted = tagged
    for file, why in zip(
        NETWORK, ("init-premount/metal", "init-bottom/metal", "8021q, is not in it"), strict=True
    ):
        (found,) = obstacles(without(seen, file), wanted)
        assert why in found


def test_cards_of_a_bond_that_are_not_there_or_dark_are_named(tagged):
    seen, wanted = tagged
    (why,) = obstacles(seen.model_copy(update={"absent": ("eno2",), "linked": ("eno1",)}), wanted)
    assert why == "it has no network card eno2: correct links.management in inventory.toml"
    (why,) = obstacles(seen.model_copy(update={"linked": ()}), wanted)
    assert "none of its cards has a link now (eno1, eno2)" in why


def test_who_left_its_vlan_would_wait_on_it_where_nobody_reaches_it(tagged):
    seen, wanted = tagged
    (why,) = obstacles(seen.model_copy(update={"vlan": ""}), wanted)
    assert "is on no VLAN, and it would wait for its key on VLAN 32" in why


def test_one_ipv6_address_is_written_in_many_ways(lab):
    seen, wanted = lab
    conf = "IP=off\nMETAL_ADDRESS=2001:DB8:0::11/64\nMETAL_CARDS=02:00:5e:00:01:01\n"
    told = {"conf": conf, "files": seen.files | {*NETWORK}}
    over6 = wanted.model_copy(update={"address": "2001:db8::11"})
    assert obstacles(seen.model_copy(update=told), over6) == []


def test_a_device_in_ip_needs_no_bootif(lab):
    seen, wanted = lab
    conf = "IP=10.11.1.11::10.11.1.1:255.255.255.0:alba1:eno1\n"
    assert obstacles(seen.model_copy(update={"conf": conf}), wanted) == []


def test_a_dropbear_nobody_pinned_could_be_anyones(lab):
    seen, wanted = lab
    (why,) = obstacles(seen, wanted.model_copy(update={"host_key": ()}))
    assert "metal keys pin" in why


def test_the_labs_tar_is_what_the_driver_reads(lab):
    seen, _ = lab
    assert initramfs_tar.__doc__ and seen.system_crypttab == seen.crypttab
