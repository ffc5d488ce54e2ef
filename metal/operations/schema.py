"""Bring a database to this version's tables, or refuse it.

The usual case costs one query; alembic is imported only when something has to change.
"""

import re

from sqlalchemy import Connection, inspect, text

from metal.model.errors import BadInput, Refused
from metal.operations.database import Database
from metal.operations.tables import SCHEMA, VERSION_TABLE


def ensure(database: Database) -> None:
    """The tables are of version SCHEMA afterwards. Refused if a newer metal wrote them."""
    with database.read() as conn:
        if _is_current(conn, database.where):
            return
    # Again under the write lock: of two first processes, one migrates and the other finds it done.
    with database.write() as conn:
        if not _is_current(conn, database.where):
            _migrate(conn)


def _is_current(conn: Connection, where: str) -> bool:
    tables = inspect(conn).get_table_names()
    if VERSION_TABLE not in tables:
        if tables:
            raise BadInput(
                f"this database is another program's: it holds {', '.join(sorted(tables)[:3])}",
                where=where,
                mend="give metal a database of its own",
            )
        return False
    found = conn.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    if found is None or found == SCHEMA:
        return found == SCHEMA
    if not re.fullmatch(r"\d{4}", found) or found > SCHEMA:
        raise Refused(
            f"the state is of version {found}, and this metal knows up to {SCHEMA}",
            where=where,
            mend=f"use the newer metal that wrote it, or put back a copy of version {SCHEMA}",
        )
    return False


def _migrate(conn: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "metal.operations:migrations")
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
