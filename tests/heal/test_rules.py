"""The alert rules for Prometheus: their text, and what they do, by Prometheus' own promtool."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from metal.heal.rules import rules, rules_text, stale_seconds
from metal.model.watch import WatchPolicy

STORIES = sorted(Path(__file__).parent.glob("rules*_test.yaml"))


@pytest.fixture
def promtool() -> Any:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt install prometheus")

    def run(*words: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["promtool", *map(str, words)], input=stdin, capture_output=True, text=True
        )

    return run


def test_the_rules_are_golden() -> None:
    golden = Path(__file__).parent / "golden/rules.yaml"
    text = rules_text("attic", WatchPolicy())
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_every_alert_says_what_to_do_and_how_soon() -> None:
    found = rules(WatchPolicy())
    assert len({rule.name for rule in found}) == len(found)
    assert {rule.severity for rule in found} == {"page", "ticket"}
    assert all(rule.do and rule.says and re.fullmatch(r"\d+[smhd]", rule.lasts) for rule in found)


def test_a_slow_pace_is_no_alarm() -> None:
    assert stale_seconds(WatchPolicy(every=1)) == 60
    assert stale_seconds(WatchPolicy(every=300)) == 1800
    assert "> 1800" in rules_text("attic", WatchPolicy(every=300))


@pytest.mark.parametrize("policy", [WatchPolicy(), WatchPolicy(every=1, lease_seconds=300)])
def test_prometheus_takes_the_rules(promtool: Any, tmp_path: Path, policy: WatchPolicy) -> None:
    file = tmp_path / "metal.yaml"
    file.write_text(rules_text('a "fleet"', policy))
    said = promtool("check", "rules", file)
    assert said.returncode == 0, said.stderr
    assert f"{len(rules(policy))} rules found" in said.stdout


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_prometheus_alerts_when_it_should_and_else_not(
    promtool: Any, tmp_path: Path, story: Path
) -> None:
    (tmp_path / "metal.yaml").write_text(rules_text("attic", WatchPolicy(places=2)))
    shutil.copy(story, tmp_path)
    said = promtool("test", "rules", tmp_path / story.name)
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_has_a_story() -> None:
    told = set(
        re.findall(r'alertname(?:: |=")(\w+)', "".join(path.read_text() for path in STORIES))
    )
    assert told == {rule.name for rule in rules(WatchPolicy())}
