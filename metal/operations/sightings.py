"""What can be reached from where: the last that each place said, for all who watch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from metal.operations.database import Database
from metal.operations.watch_tables import sightings


@dataclass(frozen=True)
class Sighting:
    """Of one place."""

    age: float
    """Seconds since it said so."""
    reaches: Mapping[str, bool]
    """Server → whether its host answers there."""


class Sightings:
    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, place: str, reaches: Mapping[str, bool]) -> None:
        """What `place` sees now, instead of what it saw before."""
        body = json.dumps(dict(reaches), sort_keys=True)
        with self._database.write() as conn:
            at = self._database.now(conn)
            mine = sightings.c.place == place
            done = conn.execute(update(sightings).where(mine).values(at=at, body=body))
            if done.rowcount == 0:
                conn.execute(insert(sightings).values(place=place, at=at, body=body))

    def all(self) -> dict[str, Sighting]:
        """Place → what it last saw."""
        with self._database.read() as conn:
            now = self._database.now(conn)
            rows = conn.execute(select(sightings).order_by(sightings.c.place))
            return {r.place: Sighting(now - r.at, json.loads(r.body)) for r in rows}

    def forget(self, place: str) -> None:
        """Nobody watches from there any more."""
        with self._database.write() as conn:
            conn.execute(delete(sightings).where(sightings.c.place == place))
