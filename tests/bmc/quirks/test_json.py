"""What BMCs send for JSON and no parser is bound to take."""

from __future__ import annotations

import pytest

from metal.drivers.redfish_answer import parsed, pointed


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
        (b'{"a":' * 900 + b"1" + b"}" * 900, None),
        (b'{"a":' + b"[" * 150 + b"]" * 150 + b"}", None),
        (b'{"a": [[[{"b": 1}]]]}', {"a": [[[{"b": 1}]]]}),
        (b'{"a": ' + b"9" * 5000 + b"}", {"a": None}),
        (b"[1]", None),
    ],
)
def test_a_bad_byte_costs_no_resource_and_half_of_one_is_none(
    sent: bytes, wanted: dict[str, str] | None
) -> None:
    assert parsed(sent) == wanted


@pytest.mark.parametrize("key", ["9" * 5000, "\u00b2", "-1", "1"])
def test_a_pointer_to_no_element_is_one_that_dangles(key: str) -> None:
    with pytest.raises(LookupError):
        pointed({"Members": [{"Id": "1"}]}, f"/Members/{key}")
