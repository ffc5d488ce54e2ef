"""Texts that makers leave in serial numbers and names because nobody filled them in (R32)."""

import re
import uuid

from metal.model.visible import UNSEEN, on_one_line

_PLACEHOLDER = re.compile(
    r"""^[\[<({]?(?: [\s.\-_x0*=\#?]*                    # blanks, dots, zeros
        | (.)\1{5,}                                     # XXXXXXXX, ffffffff
        | (?:to\ be\ )?fill(?:ed)?(?:\ by)?\ .* | to\ be\ filled.* | (?:\$\()?default[\ _]string
        | not\ ?(?:specified|available|applicable|present|set|settable|provided|programmed
            |filled.*|installed|defined|known)
        | no\ (?:dimm|module|memory)(?:\ installed)?    # of empty slots
        | n\.?/?a\.? | none(?:\ installed)? | null | nil | unknow(?:n(?:\ serial)?)? | undefined
        | unspecified | no\ serial(?:\ number)? | out\ of\ spec | bad\ index | empty(?:\ slot)?
        | invalid | tbd
        | system\ .*(?:serial|sku|version).* | system\ (?:product\ name|manufacturer)
        | sku(?:\ ?number)? | sku=notprovided.* | s/?n | manufacturer | all\ series
        | (?:(?:chassis|product|board|base\ board)\ )?(?:serial|part|product)\ ?(?:number|name)
        | o\.?e\.?m\.? | no\ asset.* | asset.*tag.* | asset-1234567.*
        | (?:type\d\ -\ )?(?:base\ ?)?board\ serial(?:\ number)? | bsn1234567.* | 9876543210
        | 0?1234567(?:8(?:9.*)?)? )[\]>)}]?$""",
    re.IGNORECASE | re.VERBOSE,
)
PLACEHOLDER_UUIDS = frozenset(
    {
        "03000200-0400-0500-0006-000700080009",
        "00020003-0004-0005-0006-000700080009",
        "12345678-1234-5678-90ab-cddeefaabbcc",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "00000000-0000-0000-0000-000000000000",
    }
)
"""What boards say whose maker never wrote one."""
LARGEST_FLAG = 999
"""Up to here a bare number where a text belongs is no text that anybody wrote."""


LONGEST = 256
"""Characters of a text: what is longer is no name, version or serial number of anything."""


def told(value: object) -> str | None:
    """The text if it says anything, else None. What could only steer a terminal is left out, and
    so is what is beyond LONGEST."""
    if isinstance(value, int) and value > LARGEST_FLAG:
        value = str(value) if value < 10**LONGEST else None  # a serial number of digits only
    text = " ".join(UNSEEN.sub("", value).split()) if isinstance(value, str) else ""
    return None if _PLACEHOLDER.match(text[:LONGEST]) else cut(text)


def cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def told_name(name: str) -> str:
    """What people are shown of an account's name, on one line and with a sign for what is unseen:
    an account that hides is there all the same."""
    return cut(on_one_line(name))


def told_uuid(value: object) -> str | None:
    """As it is told, if it is written as DSP0266 wants it, else so; None for what is none."""
    text = told(value) or ""
    try:
        found = uuid.UUID(text)
    except ValueError:
        return None
    if both_orders(found) & PLACEHOLDER_UUIDS:
        return None
    return text if text.lower() == str(found) else str(found)


def both_orders(found: uuid.UUID) -> set[str]:
    """Some firmware turns the byte order round (R31)."""
    return {str(found), str(uuid.UUID(bytes=found.bytes_le))}
