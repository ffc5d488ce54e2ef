"""An incident as a list, a timeline, and a picture."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from metal.cli.render.incident import incident_lines, timeline_lines
from metal.cli.render.incident_picture import draw
from metal.controller.incidents import Moment, Story

BEGAN = 1_795_176_000.0
"""2026-11-20 12:00 UTC."""
STORY = Story(
    id=7,
    subject="server alba2",
    state="dead",
    began=BEGAN,
    ended=BEGAN + 95,
    seconds=95,
    moments=(
        Moment(at=BEGAN, kind="signal", text="alba2: its cluster sees the node offline; its BMC "
               "reads power on; its host answers nobody at lisbon, utrecht"),
        Moment(at=BEGAN, kind="verdict", text="suspect"),
        Moment(at=BEGAN + 0.2, kind="alarm", text="alba2: suspect, to ops, chat"),
        Moment(at=BEGAN + 60.5, kind="verdict", text="dead"),
        Moment(at=BEGAN + 60.6, kind="action", text="recover what ran on alba2"),
        Moment(at=BEGAN + 61.0, kind="step", text="prove alba2 off"),
        Moment(at=BEGAN + 94.8, kind="step", text="mail runs on alba3 <&>\x1b[2J"),
        Moment(at=BEGAN + 95, kind="end", text="it is set aside until `metal release alba2`"),
    ),
    unsent=("chat: alba2: dead: it was answered 500",),
)  # fmt: skip


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def test_a_timeline(golden: Callable[[str, str], None]) -> None:
    golden("incident-show.txt", "\n".join([*timeline_lines(STORY, 80), ""]))


def test_a_list(golden: Callable[[str, str], None]) -> None:
    open_one = STORY.model_copy(update={"id": 8, "ended": None, "seconds": 200_000, "moments": ()})
    golden("incident-list.txt", "\n".join([*incident_lines([STORY, open_one], 80), ""]))
    assert incident_lines([]) == ["no incident is open"]


def test_a_picture_is_xml_with_every_moment() -> None:
    drawn = ET.fromstring(draw(STORY))
    dots = [e for e in drawn.iter() if e.tag.endswith("circle")]
    places = [float(dot.attrib["cx"]) for dot in dots]
    assert len(dots) == len(STORY.moments)
    assert places == sorted(places)
    assert "\x1b" not in draw(STORY)
