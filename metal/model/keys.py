"""What is seen of the keys of an encrypted disk."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """One way into a disk, as its header tells without any key."""

    number: int
    kdf: str
    """argon2id, argon2i or pbkdf2."""
    token: str | None
    """What opens it by itself: clevis, systemd-tpm2; None: only a passphrase does."""

    @property
    def said(self) -> str:
        return f"slot {self.number}: {self.token or 'passphrase'}, {self.kdf}"


@dataclass(frozen=True)
class TangPin:
    """Opens while enough Tang servers answer."""

    threshold: int
    servers: tuple[tuple[str, str], ...]
    """(URL, thumbprint of a signing key) of each."""

    @property
    def said(self) -> str:
        urls = ", ".join(url for url, _ in self.servers)
        return f"{self.threshold} of {len(self.servers)} Tang servers: {urls}"


@dataclass(frozen=True)
class TpmPin:
    """Opens on this machine while its TPM's registers are as they were."""

    pcrs: tuple[int, ...]

    @property
    def said(self) -> str:
        return f"its TPM, PCR {', '.join(map(str, self.pcrs))}"


Pin = TangPin | TpmPin
"""A way by which a disk opens itself."""
