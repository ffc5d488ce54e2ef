"""What the store keeps of a server, under its new name. What was done is history and stays."""

from sqlalchemy import delete, exists, select, update

from metal.model.life import Life
from metal.operations.database import Database
from metal.operations.servers import Fence
from metal.operations.tables import installs, jobs, records, requests, servers

NAMES = (servers.c.name, records.c.server, installs.c.server, jobs.c.server, requests.c.server)


def rename(database: Database, old: str, new: str, run: Fence) -> None:
    """All of it or nothing; again, it does nothing. `new` must not be enrolled."""
    with database.write() as conn:
        run.guard(conn)
        if not conn.execute(select(exists().where(servers.c.name == old))).scalar():
            return
        # What an enrolment under the new name left that found no password.
        gone = (servers.c.name == new) & (servers.c.life == Life.FOUND)
        if conn.execute(delete(servers).where(gone)).rowcount:
            conn.execute(delete(records).where(records.c.server == new))
        for column in NAMES:
            named = update(column.table).where(column == old)
            conn.execute(named.values({column: new}))
