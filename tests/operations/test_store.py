"""Opening a store: what is made, what is migrated, and every way it can be wrong."""

import sqlite3
import stat

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from metal.model.errors import BadInput, Failed, Refused, Unreachable
from metal.operations.store import open_store
from metal.operations.tables import SCHEMA, VERSION_TABLE, metadata


def test_the_migrations_make_exactly_the_tables(store) -> None:
    with store.database.read() as conn:
        context = MigrationContext.configure(conn, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == SCHEMA


def test_the_newest_migration_is_the_one_the_code_expects() -> None:
    config = Config()
    config.set_main_option("script_location", "metal.operations:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA]


def test_what_was_written_is_there_the_next_time(place) -> None:
    with place.open() as store:
        store.looks.save('{"silent": {}}')
    with place.open() as store:
        assert store.looks.last()[1] == '{"silent": {}}'


def test_state_is_for_its_owner_only(local) -> None:
    local.state.mkdir(mode=0o755)
    with local.open() as store:
        store.looks.save("{}")
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in local.state.iterdir()}
    assert stat.S_IMODE(local.state.stat().st_mode) == 0o700
    assert modes == dict.fromkeys(("metal.db", "metal.db-wal", "metal.db-shm"), 0o600)


def test_sqlite_is_set_up_to_survive_a_power_cut(local) -> None:
    with local.open() as store, store.database.write() as conn:
        values = [
            conn.exec_driver_sql(f"PRAGMA {p}").scalar()
            for p in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert values == ["wal", 2, 1, 30_000]


@pytest.mark.parametrize("found", [f"{int(SCHEMA) + 1:04d}", "0917", "f00"])
def test_a_newer_version_is_refused(place, found: str) -> None:
    with place.open() as store, store.database.write() as conn:
        conn.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{found}'"))
    with pytest.raises(Refused) as refused:
        place.open()
    assert f"is of version {found}, and this metal knows up to {SCHEMA}" in str(refused.value)
    assert "use the newer metal that wrote it" in refused.value.mend


def test_another_programs_database_is_left_alone(place) -> None:
    with place.open() as store, store.database.write() as conn:
        for table in reversed(metadata.sorted_tables):
            conn.execute(text(f"DROP TABLE {table.name}"))
        conn.execute(text(f"DROP TABLE {VERSION_TABLE}"))
        conn.execute(text("CREATE TABLE bookings (id INTEGER)"))
    with pytest.raises(BadInput, match=r"another program's: it holds bookings"):
        place.open()


def test_a_file_that_is_no_database(local) -> None:
    local.state.mkdir()
    local.file.write_text("Dear diary, " * 500)
    with pytest.raises(BadInput, match="this is not a database of metal"):
        local.open()
    assert local.file.read_text().startswith("Dear diary")


def test_a_damaged_file(local) -> None:
    with local.open() as store:
        for number in range(50):
            store.journal.open("install", f"server{number}", [], {"x": "y" * 500})
    with sqlite3.connect(local.file) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = local.file.read_bytes()
    local.file.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    with pytest.raises(Failed, match="the state is damaged"), local.open() as store:
        store.journal.list()


def test_a_folder_that_cannot_be_written(local) -> None:
    local.state.parent.joinpath("state").write_text("in the way")
    with pytest.raises(BadInput, match="the state cannot be kept here"):
        local.open()


@pytest.mark.parametrize("url", ["", "mysql://u:hush@h/d", "hush", "sqlite:///x", "postgresql:/"])
def test_a_setting_that_names_no_database(url: str, tmp_path) -> None:
    with pytest.raises(BadInput, match=r"fleet\.state") as error:
        open_store(url, tmp_path / "state")
    assert "hush" not in str(error.value)


def test_a_server_that_does_not_answer(tmp_path) -> None:
    with pytest.raises(Unreachable, match="does not answer") as error:
        open_store("postgresql://metal:hush@127.0.0.1:1/metal", tmp_path)
    assert "hush" not in str(error.value) and "127.0.0.1" in str(error.value)


def test_a_database_that_does_not_exist(postgresql, tmp_path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        open_store(postgresql.url("nowhere"), tmp_path)


def test_a_broken_connection_is_made_anew(postgresql, tmp_path) -> None:
    url = postgresql.database()
    with open_store(url, tmp_path) as store:
        store.looks.save("{}")
        postgresql.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND usename = 'metal'"
        )
        assert store.looks.last()[1] == "{}"


def test_a_lost_connection_in_a_transaction_is_worth_a_retry(postgresql, tmp_path) -> None:
    with open_store(postgresql.database(), tmp_path) as store:
        with pytest.raises(Unreachable), store.database.write() as conn:
            conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        store.looks.save("{}")


def test_an_error_undoes_the_whole_transaction(store) -> None:
    with pytest.raises(ZeroDivisionError), store.database.write() as conn:
        conn.execute(text("INSERT INTO looks (id, at, body) VALUES (1, 0, '{}')"))
        raise ZeroDivisionError
    assert store.looks.last() is None
