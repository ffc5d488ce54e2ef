"""`metal fence`: a server is switched off and read back, unless its cluster sees it well."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metal.controller.fencing import refuse_healthy
from metal.lab.storms.storm import Storm
from metal.model.errors import Refused

REFUSED = 3


def test_it_is_switched_off_and_read_back_three_times(rack: Any) -> None:
    rack.machine.power_on()
    said = rack.metal("fence", "alba1", "--force", "--yes")
    assert said.returncode == 0, said.stderr
    assert "alba1 is off: off, off, off read back from its BMC" in said.stderr
    assert rack.machine.power == "off"


def test_nothing_is_switched_while_nobody_says_that_it_is_lost(rack: Any) -> None:
    rack.machine.power_on()
    said = rack.metal("fence", "alba1", "--yes")
    assert said.returncode == REFUSED, said.stderr
    assert "alba1 has no quorum" in said.stderr and "--force" in said.stderr
    assert rack.machine.power == "on"


def test_where_a_person_is_the_switch_their_word_is_asked_for(rack: Any) -> None:
    said = rack.metal("fence", "alba3", "--force", "--yes")
    assert said.returncode == REFUSED
    assert "fence alba3 --i-have-pulled-the-plug`" in " ".join(said.stderr.split())


def test_no_healthy_server_is_fenced_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storm = Storm(tmp_path, 1, days=0.01, every=0)
    workspace, boxes = storm._person, storm.rack.boxes
    with pytest.raises(Refused, match="alba sees it online"):
        refuse_healthy(workspace, "alba1")
    boxes["alba1"].hung = True
    refuse_healthy(workspace, "alba1")
    with monkeypatch.context() as patch:
        hypervisor = workspace.hypervisor("alba")
        seen, nodes, vms = hypervisor.look()
        told = (seen, nodes | {"alba1": "unknown"}, vms)
        patch.setattr(workspace, "hypervisor", lambda _: SimpleNamespace(look=lambda: told))
        with pytest.raises(Refused, match="does not say that it is lost"):
            refuse_healthy(workspace, "alba1")
    boxes["alba2"].hung = True
    with pytest.raises(Refused, match="no quorum"):
        refuse_healthy(workspace, "alba1")
    boxes["alba2"].hung = False
    store = workspace.store
    store.journal.open("recover", "recover:alba1", ("server alba1",), {})
    refuse_healthy(workspace, "alba1")
    store.journal.open("install", "install:alba3", ("server alba3",), {})
    with pytest.raises(Refused, match=r"\(install\) is open"):
        refuse_healthy(workspace, "alba3")
    storm.close()
