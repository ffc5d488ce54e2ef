"""What the checks of an audit look at. Pure data."""

from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network

from metal.model.base import Frozen
from metal.model.facts import Account
from metal.model.findings import Exposure, Finding

WEB_PAGE = "in the BMC's web page"


class Surroundings(Frozen):
    """What is known of the BMC besides what it says of itself."""

    protocol: str = "redfish"
    """What it was asked over: "redfish" or "ipmi"."""
    user: str = "metal"
    """The account that is metal's own."""
    accounts: tuple[Account, ...] | None = None
    """Its log-ins; None: it did not tell them."""
    pinned: bool = False
    legacy_tls: bool = False
    cipher_suite: int | None = None
    """The IPMI cipher suite that a log-in worked with."""
    ipmi_answers: bool | None = None
    """Whether IPMI answered this controller; None: nobody asked."""
    ipmi_port: int = 623
    """Where its IPMI is, over UDP."""
    address: str = ""
    """Of the BMC."""
    ours: str | None = None
    """This controller's own address towards it."""
    bmc_subnet: IPv4Network | IPv6Network | None = None
    """The site's network of BMCs."""
    now: datetime = datetime(1970, 1, 1, tzinfo=UTC)


class Scene(Frozen):
    exposure: Exposure
    around: Surroundings

    def why_not(self, *keys: str) -> str:
        """Why the BMC did not tell these."""
        said = (self.exposure.unknown.get(key) for key in keys)
        return next(filter(None, said), "the BMC does not tell it")

    def why_no_ipmi(self, key: str) -> str | None:
        """The same of what only IPMI tells; None (fine) where the BMC says that IPMI is off."""
        return None if self.exposure.ipmi_lan is False else self.why_not(key)


Said = Finding | str | None
"""A finding; None: it was looked at and is fine; a text: why nobody knows."""
