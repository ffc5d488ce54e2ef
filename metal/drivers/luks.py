"""Keys of LUKS2 disks, by cryptsetup on the machine that has the disk.

Whoever holds a Runner (metal.drivers.commands) can do this: over SSH on a server, or here on a
file. Keys go through stdin and never end in a newline: what cryptsetup reads from a pipe as a key
file counts every byte, and what a person types does not end in one either.
A new slot's argon2id is calibrated by the machine itself, so costs never come from elsewhere.
"""

import base64
import json
import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from metal.drivers.commands import Result, Runner
from metal.model.errors import Failed, Refused
from metal.model.keys import Pin, Slot

if TYPE_CHECKING:
    from metal.drivers.clevis import Bound

Metadata: TypeAlias = dict[str, Any]
"""LUKS2's JSON area."""
WRONG_KEY = 2
"""cryptsetup's exit code when no slot opens (man cryptsetup, EXIT CODES)."""
CALIBRATED = ("--pbkdf", "argon2id", "--iter-time", "2000")
"""How a new slot's cost is chosen: two seconds of this machine's own work."""
SLOW = 300.0
"""Seconds that one slot may take to try on an old machine."""
_UNLOCKED = re.compile(r"Key slot (\d+) unlocked")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY = re.compile(r"[\x21-\x7e]{8,512}")
_SOURCE = re.compile(r"(UUID|PARTUUID|LABEL|PARTLABEL)=(\S+)")


class Luks:
    """The keys of one LUKS2 device (or file)."""

    def __init__(self, runner: Runner, device: str, *, pbkdf: Sequence[str] = CALIBRATED) -> None:
        """`pbkdf`: options of a new slot's cost; tests take cheap ones."""
        self._runner, self.device, self._pbkdf = runner, device, tuple(pbkdf)

    def slots(self) -> tuple[Slot, ...]:
        """Every slot in use, by number, from `luksDump --dump-json-metadata`."""
        data = self._metadata()
        tokens = {
            int(slot): token["type"]
            for token in data.get("tokens", {}).values()
            for slot in token.get("keyslots", ())
        }
        return tuple(
            Slot(int(n), slot["kdf"]["type"], tokens.get(int(n)))
            for n, slot in sorted(data["keyslots"].items(), key=lambda pair: int(pair[0]))
        )

    def slot_of(self, key: str) -> int | None:
        """The slot that `key` opens (cryptsetup open --test-passphrase); None if it opens none."""
        # A token (a TPM's) would open it whatever the key is.
        alone = ("--disable-external-tokens", "--key-file=-", self.device)
        argv = ("open", "--test-passphrase", "--verbose", *alone)
        done = self._cryptsetup(argv, _bytes(key))
        if done.code == WRONG_KEY or "No usable keyslot" in done.err:
            return None
        self._check(done, "whether the key opens it")
        found = _UNLOCKED.search(done.out.decode(errors="replace") + done.err)
        if found is None:
            raise Failed("cryptsetup does not say which slot it opened", where=self._where)
        return int(found[1])

    def ensure_key(self, new: str, *, by: Sequence[str]) -> int:
        """`new` opens it; its slot. Added by the first of `by` that opens it, if it does not yet.

        Refused when none of `by` does.
        """
        slot = self.slot_of(new)
        if slot is not None:
            return slot
        old = next((key for key in by if self.slot_of(key) is not None), None)
        if old is None:
            raise Refused(
                "none of the keys at hand opens it, so none can be added",
                where=self._where,
                mend="an administrator must bring the key that does: --identity; metal keys "
                "recover shows older ones too",
            )
        # With no terminal luksAddKey reads both passphrases as lines: the old, then the new.
        done = self._cryptsetup(
            ("luksAddKey", "--batch-mode", *self._pbkdf, self.device),
            _bytes(old) + b"\n" + _bytes(new) + b"\n",
        )
        self._check(done, "add a key")
        slot = self.slot_of(new)
        if slot is None:
            raise Failed("the key that was added does not open it", where=self._where)
        return slot

    def ensure_without(self, old: str, *, keep: str) -> None:
        """`old` opens it no more; `keep` does, which is tried first. Refused if it does not."""
        if self.slot_of(keep) is None:
            raise Refused("the key that is to stay does not open it", where=self._where)
        if old == keep:
            return
        while self.slot_of(old) is not None:
            argv = ("luksRemoveKey", "--batch-mode", "--key-file=-", self.device)
            self._check(self._cryptsetup(argv, _bytes(old)), "remove a key")
        if self.slot_of(keep) is None:
            raise Failed("the key that was to stay opens it no more", where=self._where)

    def ensure_empty(self, slots: Sequence[int], *, keep: str) -> None:
        """None of `slots` is in use. Refused where `keep` is in one of them, or opens nothing.

        A removal wipes a slot before it takes it off the list: a power cut between the two leaves
        one that no key opens and that is counted as one.
        """
        kept = self.slot_of(keep)
        if kept is None or kept in slots:
            raise Refused("the key that is to stay would not open it", where=self._where)
        for slot in {one.number for one in self.slots()} & set(slots):
            argv = ("luksKillSlot", "--batch-mode", "--key-file=-", self.device, str(slot))
            self._check(self._cryptsetup(argv, _bytes(keep)), f"remove slot {slot}")

    def ensure_bound(self, pins: Sequence[Pin], *, by: str) -> list[str]:
        """It opens itself by each of `pins`, tried, and by no other (metal.drivers.clevis)."""
        from metal.drivers.clevis import Clevis

        return Clevis(self._runner, self.device).ensure(self._metadata(), pins, by=by)

    def bindings(self) -> "list[Bound]":
        """What opens it without a person: the slots of clevis."""
        from metal.drivers.clevis import bindings

        return bindings(self._metadata())

    def opens_itself(self, slot: int) -> bool:
        """Whether clevis opens that slot now: its Tang servers answer, its TPM agrees."""
        from metal.drivers.clevis import Clevis

        return Clevis(self._runner, self.device).opens(slot)

    def header(self) -> tuple[str, str]:
        """(the disk's UUID, its header with its key slots): small enough to keep as a secret."""
        metadata = self._metadata()
        done = self._runner.run(("sh", "-c", _BACKUP, "sh", self.device), timeout=SLOW)
        self._check(done, "read its header")
        return uuid_of(done.out), packed_header(done.out, metadata)

    def _metadata(self) -> Metadata:
        done = self._cryptsetup(("luksDump", "--dump-json-metadata", self.device))
        self._check(done, "read its header")
        try:
            found = json.loads(done.out)
        except ValueError:
            found = None
        if not isinstance(found, dict) or "keyslots" not in found:
            raise Failed("its header is not LUKS2", where=self._where)
        return found

    def _cryptsetup(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        return self._runner.run(("cryptsetup", *argv), stdin=stdin, timeout=SLOW)

    def _check(self, done: Result, what: str) -> None:
        if done.code:
            raise Failed(
                f"cryptsetup could not {what}: {done.said}",
                where=self._where,
                mend=f"look at it there: cryptsetup luksDump {self.device}",
            )

    @property
    def _where(self) -> str:
        return f"{self._runner.where}, {self.device}"


_BACKUP = """\
umask 077
folder=$(mktemp -d /run/metal.XXXXXX 2>/dev/null || mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cryptsetup luksHeaderBackup "$1" --header-backup-file "$folder/header" || exit $?
cat "$folder/header"
"""


def packed_header(image: bytes, metadata: Metadata) -> str:
    """A header image (16 MiB as a rule) without what no slot uses, compressed, as base64.

    Free room in the key slots' area is random or old: it cannot be compressed, and an old slot's
    remains have no business in a backup. `unpacked_header` gives an image that
    `cryptsetup luksHeaderRestore` takes. Format: LUKS2 on-disk format, sections 2 and 3.
    """
    slots = [slot["area"] for slot in metadata["keyslots"].values()]
    areas = [(int(a["offset"]), int(a["size"])) for a in slots]
    first = len(image) - int(metadata["config"]["keyslots_size"])
    kept = bytearray(len(image))
    for offset, size in [(0, first), *areas]:
        kept[offset : offset + size] = image[offset : offset + size]
    return base64.b64encode(zlib.compress(bytes(kept), 9)).decode()


def uuid_of(image: bytes) -> str:
    """Whose header it is. LUKS2 on-disk format, section 2.1: 40 bytes at 0xa8."""
    found = image[0xA8:0xD0].rstrip(bytes(1)).decode(errors="replace")
    if not _UUID.fullmatch(found):
        raise Failed("the header that was read has no UUID")
    return found


def unpacked_header(text: str) -> bytes:
    """The image that `packed_header` packed; Failed when the text is something else."""
    try:
        return zlib.decompress(base64.b64decode(text, validate=True))
    except (ValueError, zlib.error):
        raise Failed("is no header that metal kept") from None


def encrypted_disks(runner: Runner) -> list[str]:
    """The LUKS devices the server opens at boot, as /etc/crypttab names them.

    Those only: an OSD's disk has a key of its own, which Ceph keeps. Failed if there is none.
    """
    done = runner.run(("cat", "/etc/crypttab"))
    if done.code:
        raise Failed(f"its crypttab cannot be read: {done.said}", where=runner.where)
    found = []
    for line in done.out.decode(errors="replace").splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith("#"):
            continue
        if len(words) > 2 and words[2] not in ("none", "-"):
            continue  # swap with a random key, or a key file: nobody types that one
        by = _SOURCE.fullmatch(words[1])
        path = f"/dev/disk/by-{by[1].lower()}/{by[2]}" if by else words[1]
        asked = runner.run(("cryptsetup", "isLuks", "--type", "luks2", path))
        if asked.code == 0:
            found.append(path)
    if not found:
        raise Failed(
            "none of the disks in its crypttab is LUKS2",
            where=runner.where,
            mend="look at /etc/crypttab there: was it installed encrypted?",
        )
    return found


def _bytes(key: str) -> bytes:
    """A key as it goes through a pipe: printable, no newline, or nothing is done with it."""
    if not _KEY.fullmatch(key):
        raise Refused("a key is not in the form that metal makes", mend="make it anew")
    return key.encode()
