"""The Debian mirror that this machine itself installs from, read from its apt sources.

Formats: sources.list(5), one-line style (*.list) and deb822 style (*.sources).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_RELEASES = frozenset({"stable", "testing", "unstable", "sid", "oldstable", "oldoldstable"})
_RELEASES |= {"buster", "bullseye", "bookworm", "trixie", "forky", "duke"}
_LINE = re.compile(r"\s*deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<words>[^#]+)")


@dataclass(frozen=True)
class Entry:
    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


def apt_mirror(root: Path = Path("/")) -> str | None:
    """URL of the Debian archive this machine uses, without a slash at its end.

    The main archive, never the security one or somebody's own repository of that name; None
    when there is none that can be reached over HTTP.
    """
    archives = [e for e in _entries(root) if _is_debian(e)]
    # Somebody's own repository may have Debian's suites too; Debian's is called /debian.
    archives.sort(key=lambda e: (not _called_debian(e.uri), "debian-archive" not in e.signed_by))
    return archives[0].uri.rstrip("/") if archives else None


def _is_debian(entry: Entry) -> bool:
    url = urlsplit(entry.uri)
    return (
        url.scheme in ("http", "https")
        # What is in the inventory is read by all: no password may come along.
        and "@" not in url.netloc
        and "debian-security" not in url.path
        and "main" in entry.components
        and any(suite in _RELEASES for suite in entry.suites)
        and (_called_debian(entry.uri) or "debian-archive" in entry.signed_by)
    )


def _called_debian(uri: str) -> bool:
    return "debian" in urlsplit(uri).path.split("/")


def _entries(root: Path) -> Iterator[Entry]:
    apt = root / "etc" / "apt"
    parts = apt / "sources.list.d"
    for file in (apt / "sources.list", *sorted(parts.glob("*.list"))):
        for line in _text(file).splitlines():
            yield from _one_line(line, root)
    for file in sorted(parts.glob("*.sources")):
        for stanza in re.split(r"\n[ \t]*\n", _text(file)):
            yield from _stanza(stanza, root)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _one_line(line: str, root: Path) -> Iterator[Entry]:
    """deb [ option=value … ] uri suite component …"""
    match = _LINE.match(line)
    if not match:
        return
    uri, *rest = match["words"].split()
    for real in _real(uri, root):
        yield Entry(real, tuple(rest[:1]), tuple(rest[1:]), match["options"] or "")


def _stanza(text: str, root: Path) -> Iterator[Entry]:
    """Fields with continuation lines; several URIs and suites may stand in one."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0] in " \t" and name:
            fields[name] += f" {line.strip()}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    if fields.get("enabled", "yes").lower() in ("no", "false", "0", "off"):
        return
    if "deb" not in fields.get("types", "").split():
        return
    for uri in fields.get("uris", "").split():
        for real in _real(uri, root):
            yield Entry(
                real,
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                fields.get("signed-by", ""),
            )


def _real(uri: str, root: Path) -> Iterator[str]:
    """The URI, or those in the list that a mirror+file: URI leads to (cloud images do that)."""
    if not uri.startswith("mirror+file:"):
        yield uri
        return
    listed = root / uri.removeprefix("mirror+file:").lstrip("/")
    for line in _text(listed).splitlines():
        words = line.split("#")[0].split()
        yield from words[:1]
