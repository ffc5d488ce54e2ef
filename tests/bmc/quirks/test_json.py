"""What BMCs send for JSON and no parser is bound to take."""

from __future__ import annotations

import pytest

from metal.drivers.redfish_answer import parsed


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (b'{"AssetTag": "R\xe4ck 4"}', {"AssetTag": "R�ck 4"}),
        (b'\xef\xbb\xbf{"AssetTag": "\xff"}', {"AssetTag": "�"}),
        (b'{"Name": "PSU\t1\n"}', {"Name": "PSU\t1\n"}),
        (b'{"Id": "1"}\0\0', {"Id": "1"}),
        (b"\0\0", {}),
        (b'{"Id": "1"', None),
        (b'{"a":' * 100_000, None),
        (b'{"a": ' + b"9" * 5000 + b"}", None),
        (b"[1]", None),
    ],
)
def test_a_bad_byte_costs_no_resource_and_half_of_one_is_none(
    sent: bytes, wanted: dict[str, str] | None
) -> None:
    assert parsed(sent) == wanted
