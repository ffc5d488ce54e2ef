"""The primary name server gets its zones: kept once it answers with them, else taken back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.drivers.trial import Trial
from metal.model.errors import Failed, Refused
from metal.model.life import Status
from metal.network.engines.zonefile import own_file, render_next, render_zone, serial_of
from metal.network.zones import Record, Zone
from metal.operations.run import Outcome, perform
from metal.operations.store import Store, open_store
from metal.routing.naming import NamingPorts, give_names
from metal.routing.order import FileChange, GatewayOrder, NamesOrder
from metal.routing.trials import trial_of_names

FILE = "/etc/bind/metal/db.example.org"
CHANGE = FileChange(path=FILE, state="changed", before="old\n", after="new\n")
ONE = GatewayOrder(
    name="dns1", address="dns1", changes=(CHANGE,), files={FILE: "new\n"}, wanted=(FILE,)
)
ORDER = NamesOrder(server=ONE, vm="dns1", address="dns1", serials={"example.org": 7}, trial=0.2)
ZONE = Zone("example.org", ("dns1.example.org.",), (Record("a.example.org.", "A", "192.0.2.1"),))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store("sqlite", tmp_path / "state") as opened:
        yield opened


@dataclass
class PretendServer:
    """metal.routing.naming.NameServer; its timer is over after so many questions."""

    loads: bool = True
    unfit: str = ""
    patience: int = 5
    tried: bool = False
    kept: bool = False
    asked: list[str] = field(default_factory=list)

    def check(self, trial: Trial) -> None:
        self.asked.append("check")
        if self.unfit:
            raise Refused(self.unfit)

    def begin(self, trial: Trial, seconds: float) -> bool:
        self.asked.append("begin")
        self.tried = not self.kept
        return self.tried

    def stands(self, trial: Trial) -> bool | None:
        self.asked.append("stands")
        if len(self.asked) > self.patience:
            self.tried = False
            raise Failed("it was not reached in time, and has taken the old one back")
        return True if len(self.asked) > 3 else None

    def keep(self, trial: Trial) -> bool | None:
        self.kept = True
        return True

    def serials(self, zones: Sequence[str]) -> dict[str, int]:
        return dict.fromkeys(zones, 7 if self.tried and self.loads else 6)


def give(store: Store, server: PretendServer) -> Outcome:
    ports = NamingPorts(server, lambda: trial_of_names(ORDER, ONE), every=0.001)
    operation = store.journal.open("network apply", "dns1", (), {})
    return perform(store, operation, lambda run: give_names(run, ORDER, ports))


def test_it_is_kept_once_it_answers_with_the_new_serial(store: Store) -> None:
    server = PretendServer()
    assert give(store, server).status is Status.DONE
    assert server.kept and server.asked[:2] == ["check", "begin"]


def test_one_that_does_not_load_it_takes_it_back(store: Store) -> None:
    server = PretendServer(loads=False)
    told = give(store, server)
    assert told.status is Status.FAILED and not server.kept and not server.tried
    assert "before: example.org was not loaded" in told.error
    assert "taken the old one back" in told.error and "journalctl -u named" in told.error


def test_what_bind_would_not_take_is_not_tried(store: Store) -> None:
    server = PretendServer(unfit="db.example.org:7: bad dotted quad")
    assert "bad dotted quad" in give(store, server).error
    assert server.asked == ["check"]


@given(there=st.integers(0, 2**31), running=st.integers(0, 2**31), same=st.booleans())
def test_others_are_told_of_every_change(there: int, running: int, same: bool) -> None:
    """Whoever heard of a serial takes the zone only if the next is above it."""
    said = ZONE if same else replace(ZONE, records=())
    text = render_zone(said, there)
    found = render_next(ZONE, text, running=running)
    if found == text:
        assert same and running <= there
    else:
        assert serial_of(found) > max(there, running)
    assert render_next(ZONE, found, running=running) == found, "and then it is left alone"


def test_what_people_wrote_is_included_from_where_it_lies() -> None:
    """And what they change gets a new serial."""
    text = render_next(ZONE, "", own="@ IN MX 10 a\n")
    assert f"$INCLUDE /etc/bind/metal/{own_file(ZONE)} ;" in text.splitlines()[-1]
    assert render_next(ZONE, text, own="@ IN MX 10 a\n") == text
    assert serial_of(render_next(ZONE, text, own="@ IN MX 20 a\n")) == 2
