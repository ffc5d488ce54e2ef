"""What a person says unasked: that a server is off whose BMC is dead. And one without a BMC."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import pytest

from metal.controller.look import look
from metal.controller.powering import power_switch
from metal.heal.diagnosis import diagnose
from metal.model.errors import Unreachable
from metal.model.life import Life
from metal.operations.store import open_store
from metal.operations.words import HOLDS

REFUSED, UNREACHABLE = 3, 4
PULLED = ("--i-have-pulled-the-plug", "--yes")
ME = getpass.getuser()


def fence(rack: Any, server: str, *words: str) -> Any:
    return rack.metal("fence", server, *words)


def test_a_word_counts_where_the_bmc_is_dead_and_names_who_gave_it(rack: Any) -> None:
    rack.bmc.stop()
    silent = fence(rack, "alba1", "--force", "--yes")
    assert silent.returncode == UNREACHABLE
    assert "fence alba1 --i-have-pulled-the-plug`" in " ".join(silent.stderr.split())
    unasked = fence(rack, "alba1", "--i-have-pulled-the-plug")
    assert unasked.returncode == REFUSED, "nobody could be asked"
    said = fence(rack, "alba1", *PULLED)
    assert said.returncode == 0, said.stderr
    assert f"recorded: {ME} cut the power of alba1 at 20" in said.stderr
    (read,) = json.loads(rack.metal("power", "status", "alba1", "-o", "json").stdout)
    assert read["power"] == "off"
    assert read["by"].startswith(f"{ME}, who cut its power by hand at 20")


def test_what_reads_on_is_on_whoever_says_what(rack: Any) -> None:
    rack.machine.power_on()
    said = fence(rack, "alba1", *PULLED)
    assert said.returncode == REFUSED
    assert "its BMC reads power on" in said.stderr and "right server" in said.stderr
    with rack.workspace.store as store:
        assert store.words.off("alba1") is None


def test_a_bmc_that_comes_back_and_reads_on_ends_the_word(rack: Any) -> None:
    with rack.workspace.store as store:
        store.words.say_off("alba1", "ana", "")
        rack.machine.power_on()
        switch = power_switch(rack.workspace, "alba1", key="", why="")
        assert (switch.power(), store.words.off("alba1")) == ("on", None)


def test_a_word_ends_when_it_is_switched_on_and_after_an_hour(tmp_path: Path) -> None:
    class Clock:
        at = 1e9

        def wall(self) -> float:
            return self.at

    clock = Clock()
    with open_store("sqlite", tmp_path, clock=clock) as store:  # type: ignore[arg-type]
        store.words.say_off("alba1", "bo", "")
        store.words.say_off("alba1", "ana", "both cords")
        clock.at += HOLDS - 1
        word = store.words.off("alba1")
        assert word and (word.by, word.note, word.at) == ("ana", "both cords", 1e9)
        clock.at += 2
        assert store.words.off("alba1") is None


def test_switching_on_withdraws_it(rack: Any) -> None:
    rack.bmc.stop()
    with rack.workspace.store as store:
        store.words.say_off("alba1", "ana", "")
        switch = power_switch(rack.workspace, "alba1", key="", why="")
        with pytest.raises(Unreachable):
            switch.ensure_power("on")
        with pytest.raises(Unreachable):
            switch.ensure_power("off")


def test_a_look_and_the_diagnosis_take_the_word(rack: Any) -> None:
    """Else a dead BMC on a dead server would hold its recovery for ever."""
    rack.bmc.stop()
    workspace = rack.workspace
    with workspace.store as store:
        for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
            store.servers.move("alba1", life)
        assert look(workspace).servers["alba1"].power == "unknown"
        store.words.say_off("alba1", "ana", "")
        world = look(workspace)
        found = diagnose(workspace.inventory, world)["alba1"]
    assert (world.servers["alba1"].power, found.state) == ("off", "dead")
    assert any(e.startswith("ana, who cut its power at 20") for e in found.evidence)


def test_who_is_waited_for_is_answered(rack: Any) -> None:
    with rack.workspace.store as store:
        store.requests.ask("run 7: prove off", "alba3", "off", "press", "it died")
        assert fence(rack, "alba3", *PULLED).returncode == 0
        assert store.requests.waiting() == []


def test_a_server_without_a_bmc_needs_no_word_of_one(rack: Any) -> None:
    """alba3 has no `bmc` in the inventory at all: a person switches it."""
    dry = rack.metal("enroll", "alba3", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert rack.workspace.life("alba3") is Life.FOUND
    said = rack.metal("enroll", "alba3")
    assert said.returncode == 0, said.stderr
    assert "it has no BMC" in said.stdout and "boot_mac" in said.stdout
    assert rack.workspace.life("alba3") is Life.ENROLLED
    world = look(rack.workspace)
    assert (world.servers["alba3"].power, world.silent) == ("unknown", {})
    said = rack.metal("boot", "alba3", "--from", "network")
    assert said.returncode == REFUSED and "it has no BMC" in said.stderr
    shown = rack.metal("server", "show", "alba3")
    assert shown.returncode == 0 and "none" in shown.stdout
