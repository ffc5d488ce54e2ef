"""Who lends a site, and on what terms: `donor` of [sites.NAME]."""

from datetime import date, timedelta
from typing import Literal

from pydantic import Field

from metal.model.base import Frozen

Return = Literal["nothing", "servers", "wiped"]
"""nothing: the servers are ours, we take them away. servers: they go back as they are.
wiped: they go back with every disk erased, and a signed record of each."""


class Donor(Frozen):
    """Who lends the rack or the servers, and on what terms. What is absent has no limit."""

    name: str
    contact: str
    until: date | None = None
    """The day the donation ends; None while it is open-ended."""
    units: int | None = Field(default=None, ge=1)
    """Rack units that our servers may take."""
    watts: int | None = Field(default=None, ge=1)
    """What all our servers there may draw."""
    traffic_gb: int | None = Field(default=None, ge=1)
    """To and from the world, a month."""
    mbit: int | None = Field(default=None, ge=1)
    """What the uplink carries, a second: how fast a site can be emptied."""
    addresses: int | None = Field(default=None, ge=0)
    """Public IPv4 addresses that we may use."""
    notice_days: int | None = Field(default=None, ge=0, le=3650)
    """How long before the end either side says so. From then on nothing new is placed there."""
    returns: Return = "nothing"
    """What goes back to them at the end."""

    @property
    def notice_by(self) -> date | None:
        """The last day to say that it ends."""
        if self.until is None:
            return None
        return self.until - timedelta(days=self.notice_days or 0)

    def closing(self, today: date) -> bool:
        """Whether its end is near enough that nothing new should go there."""
        return self.notice_by is not None and today >= self.notice_by

    def over(self, today: date) -> bool:
        """Whether its last day has passed."""
        return self.until is not None and today > self.until
