"""The tables of those who watch: who leads, who sees what from where, and what came of it."""

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, String, Table, Text, text

from metal.operations.tables import metadata

# Whoever holds the row of a post acts; everybody else only looks.
leaders = Table(
    "leaders",
    metadata,
    Column("post", String, primary_key=True),  # what is led: "watch"
    Column("place", String, nullable=False),  # where the leader runs
    Column("owner", Text, nullable=False),  # JSON of owner.Owner
    Column("term", Integer, nullable=False),  # grows by one with every change of hands
    Column("since", Double, nullable=False),
    Column("until", Double, nullable=False),
)

# What can be reached from where: the last that each place said.
sightings = Table(
    "sightings",
    metadata,
    Column("place", String, primary_key=True),
    Column("at", Double, nullable=False),
    Column("body", Text, nullable=False),
)

# From the first signal to the last VM.
incidents = Table(
    "incidents",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("subject", String, nullable=False),  # "server alba1", "site lisbon", "fleet"
    Column("state", String, nullable=False),  # the worst diagnosis so far
    Column("began", Double, nullable=False),
    Column("ended", Double),
    Index(
        "one_open_incident",
        "subject",
        unique=True,
        sqlite_where=text("ended IS NULL"),
        postgresql_where=text("ended IS NULL"),
    ),
    sqlite_autoincrement=True,
)

notes = Table(
    "incident_notes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("incident", ForeignKey("incidents.id"), nullable=False),
    Column("at", Double, nullable=False),
    Column("kind", String, nullable=False),
    Column("text", Text, nullable=False),
    Index("notes_by_incident", "incident"),
    sqlite_autoincrement=True,
)

# An alarm is written with what it tells of, and sent afterwards: none is lost, none sent twice
# unless metal is killed between the sending and its record.
alarms = Table(
    "alarms",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("incident", ForeignKey("incidents.id"), nullable=False),
    Column("hook", String, nullable=False),
    Column("at", Double, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next", Double),  # when to try (again); null: sent, or given up
    Column("error", Text, nullable=False),
    sqlite_autoincrement=True,
)
