"""What `-o json` makes of what it is given: names stay names, nothing is written as Python does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from metal.cli.output import data_lines


class Colour(StrEnum):
    RED = "red"


class Pair(NamedTuple):
    fail: tuple[str, ...]
    warn: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    colour: Colour
    found: dict[str, Pair]
    where: Path


def test_what_has_named_parts_keeps_their_names() -> None:
    record = Record(Colour.RED, {"alba1": Pair(("too old",), ())}, Path("/x"))
    wanted = {
        "colour": "red",
        "found": {"alba1": {"fail": ["too old"], "warn": []}},
        "where": "/x",
    }
    assert json.loads(data_lines("json", [], [record])[0]) == [wanted]
    assert [json.loads(line) for line in data_lines("ndjson", [], [record, record])] == [wanted] * 2


@dataclass(frozen=True)
class Login:
    user: str
    password: str = field(repr=False)


def test_what_a_record_never_says_of_itself_is_not_told_to_programs() -> None:
    document = {"by": Login("root", "secret")}
    assert json.loads(data_lines("json", [], document)[0]) == {"by": {"user": "root"}}


def test_what_is_written_in_one_way_only_is_text() -> None:
    assert json.loads(data_lines("json", [], {1: ip_address("::1"), "n": None})[0]) == {
        "1": "::1",
        "n": None,
    }
