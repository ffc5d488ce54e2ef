"""The tables of the state store, and the number of their shape.

Times are seconds since the epoch by the store's own clock (see database.py); JSON is text, so
that SQLite and PostgreSQL hold byte for byte the same. No column ever holds a secret in clear.
"""

from sqlalchemy import (
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

SCHEMA = "0005"
"""The newest migration in migrations/versions: what this version of metal reads and writes."""

VERSION_TABLE = "metal_version"

metadata = MetaData()

operations = Table(
    "operations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("params", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("status", String, nullable=False),
    Column("error", Text, nullable=False),
    Column("owner", Text),  # JSON of owner.Owner; null while nobody runs it
    Column("taken", Double),  # since when the owner runs it
    Column("lease_until", Double),
    Column("fence", Integer, nullable=False),  # grows by one with every change of hands
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Index("operations_by_what", "kind", "subject"),
    sqlite_autoincrement=True,  # an operation's number is never used again
)

# A row exists exactly while its operation is open: the primary key is the mutual exclusion.
claims = Table(
    "claims",
    metadata,
    Column("subject", String, primary_key=True),
    Column("operation", ForeignKey("operations.id"), nullable=False),
)

steps = Table(
    "steps",
    metadata,
    Column("operation", ForeignKey("operations.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False),
    Column("deadline", Double),  # of a wait
    Column("result", Text),  # JSON; null until the step is done
    Column("began", Double, nullable=False),
    Column("ended", Double),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("operation", ForeignKey("operations.id"), nullable=False),
    Column("at", Double, nullable=False),
    Column("fraction", Double),
    Column("text", Text, nullable=False),
    sqlite_autoincrement=True,
)

servers = Table(
    "servers",
    metadata,
    Column("name", String, primary_key=True),
    Column("life", String, nullable=False),
    Column("status", String, nullable=False),
    Column("note", Text, nullable=False),
    Column("node_fingerprint", String),
)

installs = Table(
    "installs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("server", String, nullable=False),
    Column("mac", String, nullable=False),
    Column("uuid", String),
    Column("token_hash", String, nullable=False, unique=True),
    Column("operation", ForeignKey("operations.id"), nullable=False, unique=True),
    Column("phase", String, nullable=False),
    Column("details", Text, nullable=False),
    Column("opened", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("taken", Double),  # when the preseed was handed out: the wipe is used up
    Column("closed", Double),
    # At most one open install a server: the database itself says so.
    Index(
        "one_open_install",
        "server",
        unique=True,
        sqlite_where=text("closed IS NULL"),
        postgresql_where=text("closed IS NULL"),
    ),
)

plans = Table(
    "plans",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("status", String, nullable=False),  # open, done, abandoned
    Column("accepted", Double, nullable=False),
    Column("ended", Double),
    Index(
        "one_open_plan",
        "status",
        unique=True,
        sqlite_where=text("status = 'open'"),
        postgresql_where=text("status = 'open'"),
    ),
)

looks = Table(
    "looks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row: the last look
    Column("at", Double, nullable=False),
    Column("body", Text, nullable=False),
)

# The last of each kind that is known of a server: facts, findings, passport …
records = Table(
    "records",
    metadata,
    Column("server", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("at", Double, nullable=False),
    Column("body", Text, nullable=False),
)

# What a person at the rack is asked to press, and what they answered.
requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False),  # what it is for, such as "run 7: power off"
    Column("server", String, nullable=False),
    Column("wanted", String, nullable=False),  # on, off
    Column("what", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("asked", Double, nullable=False),
    Column("answer", String),  # done, cannot; null: nobody answered yet
    Column("answered", Double),
    Column("answered_by", String),
    Column("note", Text, nullable=False),
    Column("closed", Double),  # since when nobody waits for it any more
    # Asking again is the same request.
    Index(
        "one_open_request",
        "key",
        unique=True,
        sqlite_where=text("closed IS NULL"),
        postgresql_where=text("closed IS NULL"),
    ),
    sqlite_autoincrement=True,
)

# What the live system is to do on a machine: opened by an operation, taken once.
jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("server", String, nullable=False),
    Column("macs", String, nullable=False),  # parted by blanks
    Column("uuid", String),
    Column("token_hash", String, unique=True),  # null until the machine asked what to boot
    Column("operation", ForeignKey("operations.id"), nullable=False, unique=True),
    Column("body", Text, nullable=False),
    Column("phase", String, nullable=False),
    Column("fraction", Double, nullable=False),
    Column("text", Text, nullable=False),
    Column("beats", Integer, nullable=False),  # grows with everything that is heard of it
    Column("ended", Text),  # JSON, as the live system told at its end
    Column("opened", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("taken", Double),
    Column("closed", Double),
    Index(
        "one_open_job",
        "server",
        unique=True,
        sqlite_where=text("closed IS NULL"),
        postgresql_where=text("closed IS NULL"),
    ),
)

evidence = Table(
    "evidence",
    metadata,
    Column("job", ForeignKey("jobs.id"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("at", Double, nullable=False),
    Column("body", Text, nullable=False),
)
