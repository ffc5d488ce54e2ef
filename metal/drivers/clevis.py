"""Disks that open themselves: Clevis binds a key slot to Tang servers or to a TPM.

What a slot is bound to stands in the header, in the JWE of its token; keys of Tang servers are
told by their thumbprint (RFC 7638), never by their address. The slot's own passphrase is made,
and stays, on the server.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from metal.drivers.commands import Runner
from metal.model.errors import Failed, Refused
from metal.model.keys import Pin, TpmPin

SLOW = 120.0
"""Seconds to bind or try a slot: a TPM is slow, a Tang server may be far away."""
PACKAGES = "clevis-luks, and clevis-tpm2 for a TPM"
_TRY = """\
set -o pipefail
clevis luks pass -d "$1" -s "$2" |
    cryptsetup open --test-passphrase --key-file=- --key-slot "$2" "$1"
"""


class Bound:
    """What one slot's token says that opens it."""

    def __init__(self, slot: int, jwe: Any) -> None:
        self.slot = slot
        try:
            self._said = _header(jwe["protected"])["clevis"]
        except (KeyError, TypeError, ValueError):
            self._said = {"pin": "unreadable"}

    def is_(self, pin: Pin) -> bool:
        """Whether the slot opens by just this."""
        try:
            return self._is(pin)
        except (KeyError, TypeError, ValueError, AttributeError):
            return False  # of another making than metal's

    def _is(self, pin: Pin) -> bool:
        said = self._said[self._said["pin"]]
        if isinstance(pin, TpmPin):
            pcrs = {int(n) for n in said["pcr_ids"].split(",")}
            return bool(self._said["pin"] == "tpm2" and pcrs == set(pin.pcrs))
        if self._said["pin"] != "sss" or said["t"] != pin.threshold:
            return False
        found = dict(_tang_of(said["jwe"]))
        return set(found) == {url for url, _ in pin.servers} and all(
            thumbprint in found[url] for url, thumbprint in pin.servers
        )


class Clevis:
    """The bindings of one LUKS2 device, by clevis on the machine that has it."""

    def __init__(self, runner: Runner, device: str) -> None:
        self._runner, self._device = runner, device

    def ensure(self, metadata: dict[str, Any], pins: Sequence[Pin], *, by: str) -> list[str]:
        """Each of `pins` has one slot, which was tried when it was bound; others are unbound
        afterwards. `metadata`: of the header as it is now."""
        there, done = bindings(metadata), []
        if not there and not pins:
            return []  # clevis need not be installed
        kept = []
        for pin in pins:
            found = next((one for one in there if one.is_(pin) and one not in kept), None)
            if found is None:
                self._bind(pin, by)
                done.append(f"bound to {pin.said}")
            else:
                kept.append(found)
        for one in there:
            if one not in kept:
                self._unbind(one.slot)
                done.append(f"slot {one.slot} opens by itself no more")
        return done

    def opens(self, slot: int) -> bool:
        """Whether the slot opens itself now: its passphrase never leaves the machine."""
        argv = ("bash", "-c", _TRY, "bash", self._device, str(slot))
        return self._runner.run(argv, timeout=SLOW).code == 0

    def _bind(self, pin: Pin, by: str) -> None:
        before = self._slots()
        kind, config = clevis_config(pin)
        argv = ("clevis", "luks", "bind", "-k", "-", "-d", self._device, kind, config)
        done = self._runner.run(argv, stdin=by.encode(), timeout=SLOW)
        if done.code == 127:
            raise Refused(
                "clevis is not installed there",
                where=self._runner.where,
                mend=f"apt install {PACKAGES}, clevis-initramfs; new installs get them",
            )
        if done.code:
            raise Failed(
                f"it could not be bound to {pin.said}: {done.said}",
                where=f"{self._runner.where}, {self._device}",
                mend="does it reach those Tang servers, and are their thumbprints in "
                "inventory.toml today's (tang-show-keys)? Has it a TPM 2.0 that is switched on?",
            )
        (slot,) = self._slots() - before
        if not self.opens(slot):
            self._unbind(slot)
            raise Failed(
                f"it was bound to {pin.said}, but that does not open it",
                where=f"{self._runner.where}, {self._device}",
            )

    def _unbind(self, slot: int) -> None:
        argv = ("clevis", "luks", "unbind", "-f", "-d", self._device, "-s", str(slot))
        done = self._runner.run(argv, timeout=SLOW)
        if slot in self._slots():
            raise Failed(
                f"slot {slot} could not be unbound: {done.said}",
                where=f"{self._runner.where}, {self._device}",
            )

    def _slots(self) -> set[int]:
        argv = ("cryptsetup", "luksDump", "--dump-json-metadata", self._device)
        done = self._runner.run(argv, timeout=SLOW)
        return {int(slot) for slot in json.loads(done.out)["keyslots"]} if not done.code else set()


def bindings(metadata: dict[str, Any]) -> list[Bound]:
    """The slots of clevis, by number, out of LUKS2's JSON area."""
    tokens = metadata.get("tokens", {}).values()
    found = [
        Bound(int(slot), token.get("jwe"))
        for token in tokens
        if token["type"] == "clevis"
        for slot in token["keyslots"]
    ]
    return sorted(found, key=lambda one: one.slot)


def clevis_config(pin: Pin) -> tuple[str, str]:
    """What `clevis luks bind` takes: a pin's name and its configuration. No secret is in it."""
    if isinstance(pin, TpmPin):
        return "tpm2", json.dumps({"pcr_bank": "sha256", "pcr_ids": ",".join(map(str, pin.pcrs))})
    tang = [{"url": url, "thp": thumbprint} for url, thumbprint in pin.servers]
    return "sss", json.dumps({"t": pin.threshold, "pins": {"tang": tang}})


def _tang_of(jwes: Sequence[str]) -> Iterator[tuple[str, set[str]]]:
    """(URL, thumbprints of its signing keys) of every share; anything but Tang is an error."""
    for jwe in jwes:
        said = _header(jwe.partition(".")[0])["clevis"]["tang"]
        keys = [key for key in said["adv"]["keys"] if "verify" in key.get("key_ops", ())]
        yield said["url"], {print_ for key in keys for print_ in thumbprints(key)}


def thumbprints(key: dict[str, str]) -> tuple[str, str]:
    """RFC 7638, of an elliptic curve's key: by SHA-256, and by SHA-1 as old Tang servers show."""
    plain = {name: key[name] for name in ("crv", "kty", "x", "y")}
    text = json.dumps(plain, separators=(",", ":"), sort_keys=True).encode()
    digests = hashlib.sha256(text), hashlib.sha1(text)
    first, second = (base64.urlsafe_b64encode(d.digest()).decode().rstrip("=") for d in digests)
    return first, second


def _header(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
