"""One answer of a Redfish service: status, JSON body, headers, and what it complains of.

Sources: DMTF DSP0266 (8.5 status codes, 9.6.6 error responses, 6.5 ETags).
"""

import json
import re
import zlib
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import unquote, urlsplit

from metal.drivers.redfish_shape import items, section

BIGGEST = 4 * 1024 * 1024
"""Bytes. No resource is that large (message registries are, but nobody needs one)."""
LONGEST_INDEX = 9
"""Digits: no list of 4 MiB has as many elements."""
LONGEST_INTEGER = 40
"""Digits: the largest that means anything has 20 (2^64)."""
DEEPEST = 100
"""Levels of a body. Standard ones have ten; what walks through them does so by recursion."""
SOON = re.compile(r"(?:retry|again|wait)\D{0,40}?(\d{1,3})\s*sec", re.IGNORECASE)
Body = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int
    body: Body
    headers: dict[str, str]
    """Names in lower case."""
    size: int = 0
    """Bytes of the body, unpacked."""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def of_redfish(self) -> bool:
        """Whether it comes from a Redfish service, and not from any web server."""
        return "odata-version" in self.headers or isinstance(self.body.get("error"), dict)

    @property
    def etag(self) -> str | None:
        """For If-Match. A web server that compresses appends -gzip, which never matches (R03)."""
        tag = self.headers.get("etag") or self.body.get("@odata.etag")
        return tag.replace("-gzip", "") if isinstance(tag, str) else None

    @property
    def tag_was_changed(self) -> bool:
        return "-gzip" in self.headers.get("etag", "")

    @property
    def messages(self) -> list[Body]:
        """Its Message objects; on an error, and beside a success such as a log-in."""
        error = self.body.get("error")
        holders = [self.body, error] if isinstance(error, dict) else [self.body]
        infos = [h.get("@Message.ExtendedInfo") for h in holders]
        return [m for i in infos if isinstance(i, list) for m in i if isinstance(m, dict)]

    @property
    def complaint(self) -> str:
        """What the BMC says is wrong: its messages, else the status."""
        texts = [str(m.get("Message") or m.get("MessageId") or "") for m in self.messages]
        error = self.body.get("error")
        plain = str(error.get("message") or "") if isinstance(error, dict) else ""
        text = "; ".join(dict.fromkeys(t for t in texts if t)) or plain
        return f"HTTP {self.status}: {text[:500]}" if text else f"HTTP {self.status}"

    def names(self, *words: str) -> bool:
        """Whether a message's id or text holds one of `words`, spaces and case aside."""
        said = [f"{m.get('MessageId')} {m.get('Message')}" for m in self.messages]
        text = re.sub(r"\s", "", " ".join([*said, self.complaint])).lower()
        return any(re.sub(r"\s", "", word).lower() in text for word in words)

    @property
    def pause(self) -> float | None:
        """Seconds after which it wants to be asked again; None if it does not say (R12)."""
        text = self.headers.get("retry-after", "").strip()
        if _whole(text):
            return float(text[:6])
        if text:
            try:
                return max(0.0, parsedate_to_datetime(text).timestamp() - time())
            except (ValueError, OverflowError):
                return None
        if found := SOON.search(self.complaint):
            return float(found[1])
        arguments = [str(a) for m in self.messages for a in items(m.get("MessageArgs"))]
        return next((float(a) for a in arguments if _whole(a) and len(a) <= 3), None)


def _whole(text: str) -> bool:
    """Digits that float() knows: "²" is one too, of another kind."""
    return text.isascii() and text.isdecimal()


def without(value: Any, secret: str) -> Any:
    """The same with … for `secret`: BMCs repeat the value that they refuse in their messages,
    and those are shown and kept."""
    if isinstance(value, str):
        return value.replace(secret, "…")
    if isinstance(value, dict):
        return {k: without(v, secret) for k, v in value.items()}
    return [without(v, secret) for v in value] if isinstance(value, list) else value


def link(value: Any) -> str | None:
    """The path a Redfish link points to; None if it is no link.

    The older iLO writes href, an Inspur the bare path.
    """
    if isinstance(value, dict):
        value = value.get("@odata.id") or value.get("href")
        return value if isinstance(value, str) and value else None
    return value if isinstance(value, str) and value.startswith("/") else None


def pointed(body: Body, pointer: str) -> Body:
    """The object that a JSON pointer (RFC 6901) leads to; LookupError if there is none."""
    value: Any = body
    for step in pointer.strip("/").split("/"):
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and _whole(key):
            value = value[int(key[:LONGEST_INDEX])]
        else:
            value = section(value)[key]
    if not isinstance(value, dict):
        raise LookupError(pointer)
    return value


def path_of(url: str) -> str:
    """Only ever the BMC itself: of an absolute URL the path is used, the host is not."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as "http://[": no URL, so whoever asks for it is told so
        return url
    return parts.path + (f"?{parts.query}" if parts.query else "")


def host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def parsed(raw: bytes) -> Body | None:
    """A JSON object, {} for nothing at all; None for anything that is neither, or too deep."""
    raw = unzipped(raw).strip(b"\0 \t\r\n")
    if not raw:
        return {}
    body = _loaded(raw)
    return body if isinstance(body, dict) and not _too_deep(body) else None


def _too_deep(body: Body) -> bool:
    """Level by level, and not by recursion: that is what it saves the others from."""
    level: list[Any] = [body]
    for _ in range(DEEPEST):
        inner = (v.values() if isinstance(v, dict) else v for v in level)
        level = [v for values in inner for v in values if isinstance(v, dict | list)]
        if not level:
            return False
    return True


def _loaded(raw: bytes) -> Any:
    """One bad byte or line end in some asset tag must not cost the whole resource."""
    try:
        return json.loads(raw, strict=False, parse_int=_integer)
    except UnicodeDecodeError:
        text = raw.decode("utf-8-sig", errors="replace")
    except (ValueError, RecursionError):
        return None
    try:
        return json.loads(text, strict=False, parse_int=_integer)
    except (ValueError, RecursionError):
        return None


def _integer(text: str) -> int | None:
    """Python refuses to read one of thousands of digits, and the whole body with it."""
    return int(text) if len(text) <= LONGEST_INTEGER else None


def unzipped(raw: bytes) -> bytes:
    """Some send gzip without saying so (R18). Of more than BIGGEST bytes it is one more."""
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return zlib.decompressobj(31).decompress(raw, BIGGEST + 1)
    except zlib.error:
        return raw
