"""A VM as libvirt's XML: the whole text, and what is read back from it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from metal.drivers.libvirt.domain import Boot, Disk, Machine, Told, read, render
from metal.model.addresses import Addressing

ADDRESSES = Addressing(
    treatment="dedicated",
    private_ipv4="10.11.128.6/20",
    public_ipv4="198.51.100.3/28",
    ipv6="2001:db8:11::6/64",
)
FILE = Disk("file", "/var/lib/libvirt/images/git-101")
RBD = Disk("rbd", "vms/git-101", (("10.0.0.1", 6789), ("10.0.0.2", 6789)), "metal", "a" * 36)
CASES = {
    "kvm-on-a-file.xml": (Machine(), FILE),
    "tcg-own-kernel.xml": (Machine("tcg", Boot("/boot/k", "/boot/i", "console=ttyS0")), FILE),
    "kvm-on-rbd.xml": (Machine(), RBD),
}


def xml(machine: Machine, disk: Disk, name: str = "git") -> str:
    return render(
        machine,
        disk,
        vmid=101,
        name=name,
        vcpus=2,
        memory_mib=2048,
        pool="vms",
        volume="git-101",
        addressing=ADDRESSES,
    )


@pytest.mark.parametrize("name", CASES)
def test_a_domain(name: str, golden: Callable[[str, str], None]) -> None:
    golden(name, xml(*CASES[name]))


@pytest.mark.parametrize("name", CASES)
def test_libvirt_itself_calls_it_valid(name: str, tmp_path: Path) -> None:
    tool = shutil.which("virt-xml-validate")
    if tool is None or shutil.which("xmllint") is None:
        pytest.skip("needs virt-xml-validate and xmllint: libvirt-clients, libxml2-utils")
    file = tmp_path / "domain.xml"
    file.write_text(xml(*CASES[name]).replace("a" * 36, "5a1d1a5e-2f0e-4c35-9b52-6e7d3f3a1c10"))
    done = subprocess.run([tool, file, "domain"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_it_says_is_read_back() -> None:
    told = read(xml(*CASES["kvm-on-rbd.xml"]))
    addresses = ("10.11.128.6/20", "2001:db8:11::6/64", "198.51.100.3/28")
    assert told == Told("git", 101, addresses, None, 2, 2048, "vms", "git-101")


def test_a_name_cannot_break_out_of_it() -> None:
    nasty = "<devices/>&\"'"
    assert read(xml(Machine(), FILE, nasty)).name == nasty


def test_a_foreign_domain_has_no_number() -> None:
    told = read("<domain type='kvm'><name>x</name><memory unit='GiB'>2</memory></domain>")
    assert told == Told("x", None, (), None, 1, 2048, "", "")
