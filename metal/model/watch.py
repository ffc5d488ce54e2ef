"""How the fleet is watched, and who is told: the sections [watch] and [alarms.NAME]."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from metal.model.base import Frozen


class WatchPolicy(Frozen):
    """[watch]: within which limits the watcher acts by itself."""

    every: float = Field(default=10, ge=1, le=3600)
    """Seconds between two looks. A BMC that does not bear that is asked more rarely."""
    lease_seconds: float = Field(default=10, ge=1, le=300)
    """A leader that is silent for so long is followed by another watcher."""
    actions_an_hour: int = Field(default=4, ge=0, le=1000)
    """Servers recovered or emptied within an hour; more than that is a person's to decide."""
    moves_at_once: int = Field(default=2, ge=1, le=16)
    """VMs that are moved off one server side by side, the most important first."""
    move_mib_s: int = Field(default=200, ge=0, le=100_000)
    """MiB a second that each of those moves may take of the network; 0: all there is."""
    flaps: int = Field(default=3, ge=2, le=100)
    """A server that failed so often within `flap_hours` is kept out."""
    flap_hours: float = Field(default=24, gt=0, le=24 * 30)
    quiet_minutes: float = Field(default=60, ge=0, le=60 * 24 * 30)
    """A server that was emptied because it was failing takes part again after it was well for so
    long. 0: only when a person releases it."""
    keep_sessions: bool = True
    """Stay logged in to each BMC between two looks; a look that logs in anew costs three times as
    much. False: for BMCs that bear no session which lasts."""
    places: int = Field(default=1, ge=1, le=20)
    """From how many places, this one included, watchers are expected to look: with fewer, an
    alarm says so."""


class Hook(Frozen):
    """[alarms.NAME]: where alarms go."""

    kind: Literal["mail", "webhook", "matrix", "script"]
    to: Annotated[str, StringConstraints(min_length=1)]
    """mail: an address. matrix: a room's id, !ROOM:SERVER. script: a path, in the workspace or
    absolute. webhook: what it is for; the URL itself is a secret and escrowed as alarms/NAME."""
    server: str | None = None
    """mail: host:port of the SMTP server, localhost:25 when absent. matrix: the homeserver's URL;
    its access token is escrowed as alarms/NAME."""
    sender: str | None = None
    """mail: what it comes from; metal@DOMAIN of the fleet when absent."""
