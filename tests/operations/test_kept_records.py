"""What is known of a server besides its place in life, and the migration that brought the table."""

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from metal.operations.database import Clock, connect
from metal.operations.lease import LeaseLost
from metal.operations.run import perform
from metal.operations.tables import SCHEMA, VERSION_TABLE


def test_the_last_of_each_kind_is_kept(store) -> None:
    store.records.put("alba1", "facts", {"vendor": "Dell", "cpu": {"threads": 40}})
    store.records.put("alba1", "facts", {"vendor": "Dell", "cpu": {"threads": None}})
    store.records.put("alba1", "findings", [])
    store.records.put("alba2", "facts", {"vendor": "ĦP"})
    kept = store.records.get("alba1", "facts")
    assert kept.body == {"vendor": "Dell", "cpu": {"threads": None}}
    assert kept.at > 1_600_000_000
    assert store.records.get("alba1", "findings").body == []
    assert {k: r.body for k, r in store.records.all("facts").items()} == {
        "alba1": kept.body,
        "alba2": {"vendor": "ĦP"},
    }


def test_what_was_never_put_is_none(store) -> None:
    assert store.records.get("alba1", "facts") is None
    assert store.records.all("facts") == {}


def test_forgotten_is_gone_and_the_rest_stays(store) -> None:
    store.records.put("alba1", "facts", 1)
    store.records.put("alba1", "passport", 2)
    store.records.forget("alba1", "facts")
    store.records.forget("alba1", "facts")
    assert store.records.get("alba1", "facts") is None
    assert store.records.get("alba1", "passport").body == 2


def test_only_the_owner_of_its_operation_writes(store) -> None:
    def flow(run) -> None:
        store.records.put("alba1", "facts", "mine", run)
        run.end()  # its lease is given back: what follows comes too late
        store.records.put("alba1", "facts", "too late", run)

    with pytest.raises(LeaseLost):
        perform(store, store.journal.open("enroll", "alba1", [], {}).id, flow)
    assert store.records.get("alba1", "facts").body == "mine"


def test_a_store_of_the_first_version_keeps_what_it_holds(place) -> None:
    database = connect(place.url, place.state, Clock())
    config = Config()
    config.set_main_option("script_location", "metal.operations:migrations")
    with database.write() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "0001")
        conn.execute(text("INSERT INTO looks (id, at, body) VALUES (1, 5, '{\"silent\": {}}')"))
    database.close()
    with place.open() as store:
        assert store.looks.last() == (5.0, '{"silent": {}}')
        store.records.put("alba1", "facts", {})
        with store.database.read() as conn:
            found = conn.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    assert found == SCHEMA
