"""cryptsetup on a simulated server: a state of key slots, with the commands and words of the real.

What `metal.drivers.luks` asks is answered; keys are known by their SHA-256 only.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from uuid import uuid4

from metal.drivers.commands import Result
from metal.lab.initramfs_double import initramfs_tar
from metal.lab.machine import DiskState

HEADER, AREA = 32 << 10, 4 << 10
"""Bytes of the pretended header, and of each slot's area: far smaller than the real ones."""
SLOTS = 32
WRONG = Result(2, b"", "No key available with this passphrase.\n")
NOT_LUKS = Result(1, b"", "Device is not a valid LUKS device.\n")
LOST = Result(127, b"", "the lab's servers do not know this command\n")


def format_luks(disk: DiskState, key: str) -> None:
    """What the installer does with an encrypted disk."""
    disk.luks_uuid, disk.luks_tokens = str(uuid4()), {}
    disk.luks_slots = {0: _digest(key.encode())}


class PretendSystem:
    """Programs on the installed system of one simulated server: a Runner."""

    def __init__(self, name: str, disk: DiskState, host_key: str = "") -> None:
        """`host_key`: of the dropbear in its initramfs."""
        self.where, self._disk, self._host_key = name, disk, host_key

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        match list(argv):
            case ["cat", "/etc/crypttab"]:
                line = f"system_crypt UUID={self._disk.luks_uuid} none luks,discard\n"
                return Result(0, line.encode(), "")
            case ["cryptsetup", action, *_, device] if action != "luksKillSlot":
                if device != self._device:
                    return NOT_LUKS
                known: dict[str, Callable[[], Result]] = {
                    "isLuks": lambda: Result(0, b"", ""),
                    "open": lambda: self._open(stdin),
                    "luksAddKey": lambda: self._add(stdin),
                    "luksRemoveKey": lambda: self._remove(stdin),
                    "luksDump": self._dump,
                }
                return known.get(action, lambda: LOST)()
            case ["cryptsetup", "luksKillSlot", *_, device, slot]:
                return self._kill(stdin, int(slot)) if device == self._device else NOT_LUKS
            case ["clevis", "luks", "bind", "-k", "-", "-d", device, kind, config]:
                return self._bind(stdin, kind, config) if device == self._device else NOT_LUKS
            case ["clevis", "luks", "unbind", "-f", "-d", device, "-s", slot]:
                return self._unbind(int(slot)) if device == self._device else NOT_LUKS
            case ["bash", "-c", script, _, device, slot] if "clevis luks pass" in script:
                return Result(0 if int(slot) in self._disk.luks_tokens else 1, b"", "")
            case ["true"]:
                return Result(0, b"", "")
            case ["sh", "-c", script, _, _, cards, _] if "unmkinitramfs" in script:
                told = initramfs_tar(
                    self._disk.installed_with, self._disk.luks_uuid, self._host_key, cards
                )
                return Result(0, told, "")
            case ["sh", "-c", script, _, device] if "luksHeaderBackup" in script:
                return Result(0, self._image(), "") if device == self._device else NOT_LUKS
        return LOST

    @property
    def _device(self) -> str:
        return f"/dev/disk/by-uuid/{self._disk.luks_uuid}"

    def _open(self, key: bytes) -> Result:
        slot = self._slot(key)
        return WRONG if slot is None else Result(0, f"Key slot {slot} unlocked.\n".encode(), "")

    def _slot(self, key: bytes) -> int | None:
        wanted = _digest(key)
        return next((n for n, held in self._disk.luks_slots.items() if held == wanted), None)

    def _add(self, stdin: bytes) -> Result:
        old, new, *_ = stdin.split(b"\n")
        if self._slot(old) is None:
            return WRONG
        self._disk.luks_slots[self._free] = _digest(new)
        return Result(0, b"", "")

    @property
    def _free(self) -> int:
        return next(n for n in range(SLOTS) if n not in self._disk.luks_slots)

    def _bind(self, key: bytes, kind: str, config: str) -> Result:
        """No Tang server is asked, and what would stand in a real token of one is not made up: a
        disk that is bound to some is bound anew each time."""
        if self._slot(key) is None:
            return WRONG
        slot = self._free
        self._disk.luks_slots[slot] = _digest(uuid4().bytes)
        self._disk.luks_tokens[slot] = (kind, config)
        return Result(0, b"", "")

    def _unbind(self, slot: int) -> Result:
        self._disk.luks_slots.pop(slot, None)
        self._disk.luks_tokens.pop(slot, None)
        return Result(0, b"", "")

    def _remove(self, key: bytes) -> Result:
        slot = self._slot(key)
        if slot is None:
            return WRONG
        del self._disk.luks_slots[slot]
        return Result(0, b"", "")

    def _kill(self, key: bytes, slot: int) -> Result:
        return WRONG if self._slot(key) is None else self._unbind(slot)

    def _dump(self) -> Result:
        slots = {
            str(number): {
                "kdf": {"type": "argon2id"},
                "area": {"offset": str(HEADER + number * AREA), "size": str(AREA)},
            }
            for number in sorted(self._disk.luks_slots)
        }
        tokens = {
            str(n): {"type": "clevis", "keyslots": [str(slot)], "jwe": {"protected": _jwe(*pin)}}
            for n, (slot, pin) in enumerate(sorted(self._disk.luks_tokens.items()))
        }
        told = {
            "keyslots": slots,
            "tokens": tokens,
            "config": {"keyslots_size": str(SLOTS * AREA)},
        }
        return Result(0, json.dumps(told).encode(), "")

    def _image(self) -> bytes:
        """The UUID where LUKS2 has it; a slot's area holds the hash of its key."""
        image = bytearray(HEADER + SLOTS * AREA)
        image[:6] = b"LUKS\xba\xbe"
        image[0xA8 : 0xA8 + 36] = self._disk.luks_uuid.encode()
        for number, held in self._disk.luks_slots.items():
            start = HEADER + number * AREA
            image[start : start + 64] = held.encode()
        return bytes(image)


def _jwe(kind: str, config: str) -> str:
    said = {"clevis": {"pin": kind, kind: json.loads(config)}}
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


class PretendInitramfs:
    """cryptroot-unlock behind a simulated server's dropbear: a Runner of the forced command."""

    def __init__(self, name: str, disk: DiskState) -> None:
        self.where, self._disk = name, disk
        self.unlocked = threading.Event()
        if disk.luks_tokens:
            self.unlocked.set()  # by itself

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        if self.unlocked.is_set():
            return Result(0, b"", "")
        if _digest(stdin) not in self._disk.luks_slots.values():
            return Result(1, b"", "cryptsetup: cryptsetup failed, bad password or options?\n")
        self.unlocked.set()
        return Result(0, b"", "cryptsetup: system_crypt set up successfully\n")


def _digest(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()
