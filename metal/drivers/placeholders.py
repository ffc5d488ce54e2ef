"""Texts that makers leave in serial numbers and names because nobody filled them in (R32)."""

import re

from metal.model.visible import UNSEEN

_PLACEHOLDER = re.compile(
    r"""^(?: [\s.\-_x0]*                                # blanks, dots, zeros
        | (.)\1{5,}                                     # XXXXXXXX, ffffffff
        | f{8}-f{4}-f{4}-f{4}-f{12} | 03000200-0400-0500-0006-000700080009
        | to\ be\ filled.* | default\ string | not\ (?:specified|available|applicable|present)
        | n/?a | none | null | nil | unknown | undefined | empty
        | system\ .*(?:serial|sku|version).*
        | (?:chassis|product|board|base\ board)\ (?:serial|part|product)\ (?:number|name)
        | o\.?e\.?m\.? | no\ asset.* | asset.*tag.* | 0?123456789.* | 1234567890.* )$""",
    re.IGNORECASE | re.VERBOSE,
)

LARGEST_FLAG = 999
"""Up to here a bare number where a text belongs is no text that anybody wrote."""


def told(value: object) -> str | None:
    """The text if it says anything, else None. What could only steer a terminal is left out."""
    if isinstance(value, int) and value > LARGEST_FLAG:
        value = str(value)  # a serial number of digits only
    text = " ".join(UNSEEN.sub("", value).split()) if isinstance(value, str) else ""
    return None if _PLACEHOLDER.match(text) else text
