"""The state store: everything metal remembers between two commands, and between two processes."""

from pathlib import Path
from types import TracebackType

from metal.operations import schema
from metal.operations.alarms import Alarms
from metal.operations.database import Clock, Database, connect
from metal.operations.events import Events
from metal.operations.incidents import Incidents
from metal.operations.installs import Installs
from metal.operations.jobs import Jobs
from metal.operations.journal import Journal
from metal.operations.leading import Leading
from metal.operations.looks import Looks
from metal.operations.plans import Plans
from metal.operations.records import Records
from metal.operations.requests import Requests
from metal.operations.servers import Servers
from metal.operations.sightings import Sightings
from metal.operations.words import Words


class Store:
    """An opened store. Every part may be used from many threads at once."""

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self.database = database
        self.journal = Journal(database, lease_seconds)
        self.events = Events(database)
        self.servers = Servers(database)
        self.installs = Installs(database)
        self.jobs = Jobs(database)
        self.plans = Plans(database)
        self.alarms = Alarms(database)
        self.looks = Looks(database)
        self.leading = Leading(database)
        self.sightings = Sightings(database)
        self.incidents = Incidents(database)
        self.records = Records(database)
        self.requests = Requests(database)
        self.words = Words(database)

    def now(self) -> float:
        """Seconds since the epoch by the store's own clock."""
        with self.database.read() as conn:
            return self.database.now(conn)

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()


def open_store(
    url: str, state: Path, *, lease_seconds: float = 15.0, clock: Clock | None = None
) -> Store:
    """Open the store, making or migrating it as needed.

    `url` is "sqlite" (then it is metal.db in the folder `state`) or postgresql://….
    Refused if a newer metal wrote it; BadInput if it is no store of metal or cannot be opened;
    Failed if it is damaged; Unreachable if its server does not answer.
    An owner that is silent for `lease_seconds` may be taken over.
    """
    database = connect(url, state, clock or Clock())
    try:
        schema.ensure(database)
    except BaseException:
        database.close()
        raise
    return Store(database, lease_seconds)
