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
