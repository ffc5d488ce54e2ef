"""The records beside the journal: servers, installs, plans, looks."""

import threading

import pytest

from metal.model.errors import BadInput, Refused
from metal.model.life import Life, Status
from metal.operations.installs import PHASES
from metal.operations.lease import LeaseLost
from metal.operations.run import perform
from metal.operations.servers import ServerRecord

MAC, UUID = "02:00:5e:00:00:01", "4c4c4544-0000-2010-8020-80c04f202020"


def operation(store, subject: str = "alba1") -> int:
    return store.journal.open("install", subject, [], {}).id


# ── servers ─────────────────────────────────────────────────────────────────────────────────


def test_a_server_nobody_wrote_of_is_found(store) -> None:
    assert store.servers.get("alba1") == ServerRecord(Life.FOUND, Status.DONE, "", None)
    assert store.servers.all() == {}


def test_a_server_moves_along_its_life_only(store) -> None:
    store.servers.move("alba1", Life.ENROLLED)
    store.servers.move("alba1", Life.ENROLLED)
    with pytest.raises(Refused, match="alba1: a server that is enrolled cannot become draining"):
        store.servers.move("alba1", Life.DRAINING)
    assert store.servers.get("alba1").life is Life.ENROLLED


def test_only_the_owner_of_its_operation_moves_it(store) -> None:
    def flow(run) -> None:
        store.servers.move("alba1", Life.ENROLLED, run=run)
        run.end()  # its lease is given back: what follows comes too late
        store.servers.move("alba1", Life.INSTALLED, run=run)

    with pytest.raises(LeaseLost):
        perform(store, operation(store), flow)
    assert store.servers.get("alba1").life is Life.ENROLLED


def test_hold_and_release(store) -> None:
    store.servers.move("alba1", Life.ENROLLED)
    store.servers.hold("alba1", "its fan is being replaced")
    assert store.servers.get("alba1") == ServerRecord(
        Life.ENROLLED, Status.HELD, "its fan is being replaced"
    )
    store.servers.release("alba1")
    assert store.servers.all() == {"alba1": ServerRecord(Life.ENROLLED)}


def test_a_pin_does_not_change_by_itself(store) -> None:
    store.servers.pin("alba1", "AA:AA")
    store.servers.pin("alba1", "AA:AA")
    with pytest.raises(Refused, match="its certificate is BB:BB, and AA:AA is pinned"):
        store.servers.pin("alba1", "BB:BB")
    assert store.servers.get("alba1").node_fingerprint == "AA:AA"
    store.servers.unpin("alba1")
    store.servers.pin("alba1", "BB:BB")
    assert store.servers.get("alba1").node_fingerprint == "BB:BB"


# ── installs ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("mac", "uuid", "found"),
    [
        (MAC, UUID, True),
        (MAC.upper().replace(":", "-"), UUID.upper(), True),
        (MAC, None, True),
        (None, UUID, True),
        (MAC, "00000000-0000-0000-0000-000000000000", False),
        ("02:00:5e:00:00:02", UUID, False),
        (None, None, False),
    ],
)
def test_a_machine_is_known_by_what_it_tells(store, mac, uuid, found: bool) -> None:
    store.installs.open("alba1", MAC, UUID, "hash", operation(store))
    assert store.installs.for_machine(mac, uuid) == ("alba1" if found else None)


def test_without_a_known_uuid_the_mac_must_match(store) -> None:
    store.installs.open("alba1", MAC, None, "hash", operation(store))
    assert store.installs.for_machine(MAC, UUID) == "alba1"
    assert store.installs.for_machine(None, UUID) is None


def test_the_wipe_is_authorised_once(store) -> None:
    store.installs.open("alba1", MAC, UUID, "hash", operation(store))
    assert store.installs.take("hash") == "alba1"
    with pytest.raises(Refused, match="handed out already: a disk is wiped at most once"):
        store.installs.take("hash")
    assert store.installs.for_machine(MAC, UUID) is None
    assert store.installs.phase("alba1") == ("preseed", {})
    assert store.installs.by_token("hash").taken


def test_of_many_that_take_at_once_one_gets_it(store) -> None:
    store.installs.open("alba1", MAC, UUID, "hash", operation(store))
    got: list[str] = []

    def take() -> None:
        try:
            got.append(store.installs.take("hash"))
        except Refused:
            got.append("refused")

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["alba1"] + ["refused"] * 7


def test_the_same_operation_may_open_again_until_it_was_taken(store) -> None:
    number = operation(store)
    store.installs.open("alba1", MAC, UUID, "first", number)
    store.installs.open("alba1", MAC, UUID, "first", number)
    store.installs.open("alba1", MAC, UUID, "second", number)
    assert store.installs.by_token("first") is None
    store.installs.take("second")
    store.installs.open("alba1", MAC, UUID, "second", number)
    assert store.installs.by_token("second").taken
    with pytest.raises(Refused, match="handed out already"):
        store.installs.open("alba1", MAC, UUID, "third", number)


def test_a_server_has_one_open_install(store) -> None:
    first, second = operation(store), operation(store, "other")
    store.installs.open("alba1", MAC, UUID, "one", first)
    with pytest.raises(Refused, match=f"alba1: operation {first} has an open install of it"):
        store.installs.open("alba1", MAC, UUID, "two", second)
    store.installs.close(first)
    store.installs.open("alba1", MAC, UUID, "two", second)
    assert store.installs.latest("alba1").operation == second


def test_a_token_or_operation_nobody_knows(store) -> None:
    for attempt in (store.installs.take, lambda token: store.installs.report(token, "up")):
        with pytest.raises(Refused, match="no install has this token"):
            attempt("made up")
    assert store.installs.by_token("made up") is None
    assert store.installs.phase("alba1") is None
    with pytest.raises(BadInput, match="there is no operation 9"):
        store.installs.open("alba1", MAC, UUID, "hash", 9)


def test_phases_go_forward_only(store) -> None:
    store.installs.open("alba1", MAC, UUID, "hash", operation(store))
    store.installs.take("hash")
    store.installs.report("hash", "base", {"disk": "sda"})
    for late in ("script", "partitioned", "base"):
        store.installs.report("hash", late, {"late": True})
    assert store.installs.phase("alba1") == ("base", {"disk": "sda"})
    with pytest.raises(BadInput, match="there is no phase 'sleeping'"):
        store.installs.report("hash", "sleeping")
    for phase in PHASES[PHASES.index("finished") :]:
        store.installs.report("hash", phase)
    assert store.installs.phase("alba1") == ("up", {})


def test_the_end_of_its_operation_closes_an_install(store) -> None:
    number = operation(store)
    store.installs.open("alba1", MAC, UUID, "hash", number)
    store.journal.cancel(number)
    assert store.installs.for_machine(MAC, UUID) is None
    assert store.installs.by_token("hash") is None
    with pytest.raises(Refused, match="is closed"):
        store.installs.take("hash")
    store.installs.report("hash", "up")
    assert store.installs.phase("alba1") == ("opened", {})
    assert store.installs.latest("alba1").closed


# ── plans and looks ─────────────────────────────────────────────────────────────────────────


def test_one_plan_is_carried_out_at_a_time(store) -> None:
    assert store.plans.current() is None
    store.plans.accept('{"a": 1}', "f1")
    store.plans.accept('{"a": 1}', "f1")
    assert store.plans.current().plan_json == '{"a": 1}'
    with pytest.raises(Refused, match=r"another plan \(f1\) was accepted and is not finished"):
        store.plans.accept('{"b": 1}', "f2")
    store.plans.done("f2")
    assert store.plans.current().fingerprint == "f1"
    store.plans.done("f1")
    assert store.plans.current() is None
    store.plans.accept('{"b": 1}', "f2")
    store.plans.abandon()
    assert store.plans.current() is None


def test_the_last_look_is_kept(store) -> None:
    assert store.looks.last() is None
    store.looks.save('{"n": 1}')
    store.looks.save('{"n": 2}')
    when, world = store.looks.last()
    assert world == '{"n": 2}' and when > 1_600_000_000
