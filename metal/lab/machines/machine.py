"""One whole machine: its folder with disk, firmware and TPM, and the QEMU that all of it is."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from metal.model.base import Frozen

OVMF = Path("/usr/share/OVMF")
DISK_BYTES = 16 * 10**9
LARGER_BYTES = 10**9


class Machine(Frozen):
    """`folder` holds all of it; what it prints on its serial port is in `console.log` there."""

    name: str
    folder: Path
    firmware: Literal["bios", "efi"]
    mac: str
    uuid: str
    serial: str
    """Of its disk."""
    mirror_serial: str = ""
    """Of a second one, which is larger; "": it has none."""
    bmc: str
    """The address of its BMC, ours on the wire."""
    password: str
    tap: str
    address: str = ""
    """Of its system; "": in the machines' network what its BMC is in the BMCs'."""
    ipmi_port: int = 623
    redfish_port: int | None = None
    """Where its BMC speaks Redfish as well; None: nowhere."""
    cards: dict[str, str] = {}
    """Those that it does not boot from: MAC → tap."""
    drives: dict[str, int] = {}
    """Serial number → bytes, where its disks are not the lab's own."""
    tpm: bool = False
    secure_boot: bool = False
    """UEFI that starts what Microsoft's keys vouch for and nothing else."""

    def write(self) -> None:
        """Its parts, brand new: an empty disk, and firmware that knows nothing."""
        self.folder.mkdir()
        for number, (serial, disk) in enumerate(self.disks.items()):
            with disk.open("wb") as file:
                file.truncate(self.drives.get(serial, DISK_BYTES + number * LARGER_BYTES))
        if self.firmware == "efi":
            kind = "OVMF_VARS_4M.ms.fd" if self.secure_boot else "OVMF_VARS_4M.fd"
            shutil.copy(OVMF / kind, self._variables)
        (self.folder / "tpm").mkdir()
        file_ = self.folder / "machine.json"
        file_.touch(mode=0o600)
        file_.write_text(self.model_dump_json())

    @classmethod
    def read(cls, folder: Path) -> "Machine":
        return cls.model_validate_json((folder / "machine.json").read_text())

    @property
    def disk(self) -> Path:
        return self.folder / "disk.img"

    @property
    def disks(self) -> dict[str, Path]:
        """Serial number → image, which is no disk of it while it is not there: pulled."""
        if self.drives:
            return {s: self.folder / f"disk{n}.img" for n, s in enumerate(self.drives)}
        second = {self.mirror_serial: self.folder / "mirror.img"} if self.mirror_serial else {}
        return {self.serial: self.disk, **second}

    @property
    def console(self) -> str:
        file = self.folder / "console.log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def _variables(self) -> Path:
        return self.folder / "vars.fd"

    @property
    def tpm_socket(self) -> Path:
        return self.folder / "tpm.sock"

    def tpm_words(self) -> list[str]:
        """The command of its TPM, which ends with the machine."""
        state, control = f"dir={self.folder / 'tpm'}", f"type=unixio,path={self.tpm_socket}"
        return ["swtpm", "socket", "--tpm2", "--tpmstate", state, "--ctrl", control,
                "--flags", "startup-clear", "--terminate"]  # fmt: skip

    def qemu_words(self, device: str) -> list[str]:
        """The command that is the machine; `device`: "network", or what else it boots first.

        TCG: KVM hangs ordinary kernels on some clouds. It goes byte by byte where a processor says
        that it copies bytes quickly (erms). One processor: a kernel that patches its own code
        while TCG runs it on another was seen to fall over the half-written place (an int3). Told
        to boot from the network it ends where the machine restarts: what its BMC asked for was for
        one boot.
        """
        once = device == "network"
        console = f"file,id=console,path={self.folder / 'console.log'},append=on"
        wire = f"tap,id=wire,ifname={self.tap},script=no,downscript=no"
        return [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi",
            "-machine", "q35,smm=on" if self.secure_boot else "q35",
            "-cpu", "max,erms=off", "-smp", "1", "-m", "2048", "-uuid", self.uuid,
            "-display", "none", "-monitor", "none", "-parallel", "none",
            "-chardev", console, "-serial", "chardev:console",
            "-object", "rng-random,id=noise,filename=/dev/urandom",
            "-device", "virtio-rng-pci,rng=noise",
            "-netdev", wire, "-device", self._card + (",bootindex=1" if once else ""),
            *self._other_cards(),
            *self._disk_words(),
            *(["-no-reboot"] if once else []),
            *self._firmware_words(),
            *self._tpm_words(),
        ]  # fmt: skip

    @property
    def _card(self) -> str:
        """Under BIOS QEMU's own iPXE is in its ROM; under UEFI the firmware's PXE loads one."""
        rom = ",romfile=" if self.firmware == "efi" else ""
        return f"virtio-net-pci,netdev=wire,mac={self.mac}{rom}"

    def _other_cards(self) -> Iterator[str]:
        for number, (mac, tap) in enumerate(self.cards.items()):
            yield from ("-netdev", f"tap,id=wire{number},ifname={tap},script=no,downscript=no")
            yield from ("-device", f"virtio-net-pci,netdev=wire{number},mac={mac},romfile=")

    def _disk_words(self) -> Iterator[str]:
        for number, (serial, image) in enumerate(self.disks.items(), 2):
            if image.exists():
                kind = "if=none,format=raw,cache=unsafe,discard=unmap"
                device = f"virtio-blk-pci,drive=disk{number},serial={serial},bootindex={number}"
                yield from ("-drive", f"file={image},id=disk{number},{kind}", "-device", device)

    def _firmware_words(self) -> Iterator[str]:
        if self.firmware == "efi":
            code = OVMF / ("OVMF_CODE_4M.secboot.fd" if self.secure_boot else "OVMF_CODE_4M.fd")
            if self.secure_boot:  # its variables are changed in system management mode alone
                yield from ("-global", "driver=cfi.pflash01,property=secure,value=on")
            for file, mode in ((code, "on"), (self._variables, "off")):
                yield from ("-drive", f"if=pflash,format=raw,readonly={mode},file={file}")

    def _tpm_words(self) -> Iterator[str]:
        if self.tpm:
            yield from ("-chardev", f"socket,id=tpm,path={self.tpm_socket}")
            yield from ("-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm")
