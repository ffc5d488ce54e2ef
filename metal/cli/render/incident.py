"""Incidents as lines: a list, and one as a timeline."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from metal.cli.render.hang import hanging

if TYPE_CHECKING:
    from metal.controller.incidents import Story

LEAD = 18
"""Columns of the time and the kind before a moment's text."""


def incident_lines(stories: Sequence["Story"], width: int = 80) -> list[str]:
    """One line each: number, when, how long, what, how it is judged."""
    if not stories:
        return ["no incident is open"]
    return [
        line
        for s in stories
        for line in hanging(
            f"{s.id:>4}  {_day(s.began)}  ",
            f"{s.subject}: {s.state}, {_over(s)}",
            width,
        )
    ]


def timeline_lines(story: "Story", width: int = 80) -> list[str]:
    """The head, then a line a moment, in seconds since the first signal."""
    lines = hanging(
        "", f"incident {story.id}: {story.subject}, {story.state}, {_over(story)}", width, under=2
    )
    lines.append(f"it began {_day(story.began)}")
    for moment in story.moments:
        lead = f"{since_(moment.at - story.began):>8}  {moment.kind:<7} "
        lines += hanging(lead, moment.text, width)
    for text in story.unsent:
        lines += hanging("", f"AN ALARM WAS NOT TAKEN: {text}", width, under=2)
    return lines


def _over(story: "Story") -> str:
    return f"over after {long_(story.seconds)}" if story.ended else f"for {long_(story.seconds)}"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def since_(seconds: float) -> str:
    return f"+{seconds:.1f} s" if seconds < 1000 else f"+{long_(seconds)}"


def long_(seconds: float) -> str:
    """ "42 s", "5 min", "3 h 12 min", "2 d 4 h"."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"
