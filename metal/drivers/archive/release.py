"""What the Release file of an archive says, as far as it is used here. Pure."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from debian.deb822 import Deb822

from metal.model.errors import Failed


class Sum(NamedTuple):
    """What a file must be."""

    sha256: str
    size: int
    """Bytes."""


class Release(NamedTuple):
    """One state of one release of Debian."""

    codename: str
    version: str
    """Such as 13.2; empty for archives that number nothing."""
    date: datetime
    valid_until: datetime | None
    """Debian's stable releases name none."""
    by_hash: bool
    """Indices are to be found under the name of their sum, too: whole while a mirror updates."""
    sums: dict[str, Sum]
    """Path below dists/SUITE/ → what is there."""

    def stale(self, now: datetime) -> str | None:
        """A sentence when it should have been replaced by a newer one; None otherwise."""
        if self.valid_until is None or now <= self.valid_until:
            return None
        return f"the mirror's Release was valid until {self.valid_until:%Y-%m-%d}: it is not kept"


def parse_release(text: bytes, where: str) -> Release:
    """Failed when it is none."""
    fields = Deb822(text.decode(errors="replace"))
    try:
        return Release(
            codename=fields["Codename"],
            version=fields.get("Version", ""),
            date=_date(fields["Date"]),
            valid_until=_date(fields["Valid-Until"]) if "Valid-Until" in fields else None,
            by_hash=fields.get("Acquire-By-Hash", "no") == "yes",
            sums=dict(_sums(fields["SHA256"])),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise Failed(f"no Release of an archive: {error}", where=where) from error


def paragraph_of(index: bytes, name: str) -> Deb822 | None:
    """What an index says of one package. That alone is parsed: main has sixty thousand."""
    start = f"Package: {name}\n".encode()
    at = 0 if index.startswith(start) else index.find(b"\n\n" + start)
    if at < 0:
        return None
    end = index.find(b"\n\n", at + 2)
    return Deb822(index[at : end if end > 0 else None].strip().decode(errors="replace"))


def _date(text: str) -> datetime:
    return parsedate_to_datetime(text.replace("UTC", "+0000")).astimezone(UTC)


def _sums(text: str) -> list[tuple[str, Sum]]:
    lines = (line.split() for line in text.splitlines())
    return [(words[2], Sum(words[0], int(words[1]))) for words in lines if len(words) == 3]
