"""Logging in over IPMI: which cipher suite, which role, and what a refusal means.

One try of the password; suites and roles cost no try. Quirk numbers (I…) are those of
docs/bmc-quirks.md.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from pyghmi.ipmi import command
from pyghmi.ipmi.oem import generic

from metal.drivers.ipmi_records import Records
from metal.drivers.ipmi_session import Rejected, Session, Silent, WrongSuite
from metal.model.errors import Failed, MetalError, Refused, Unreachable, WrongPassword

LADDER = (17, 3)
NO_ROLE = (0x09, 0x0A)
"""The role or privilege asked for is not to be had: said before a password is looked at."""
ADMINISTRATOR, OPERATOR = 4, 3
NO_RESOURCES = (0x01, 0x0B)
WRONG = (0x09, 0x0A, 0x0D, 0x0F)
"""Role, privilege, name, check value: each may be what a BMC says to a wrong password."""
QUIET = 3.0
"""A BMC that answers, but not to an open session, may ignore suites it does not know (I01)."""


class Command(command.Command):  # type: ignore[misc]  # pyghmi has no types
    """pyghmi's commands on a session of ours, without its makers' extras.

    Those open HTTPS connections of their own, whose certificates nobody pinned.
    """

    def __init__(self, session: Session) -> None:
        self.ipmi_session = session
        self.onlogon = self.bmc = None
        self.kwargs: dict[str, Any] = {}
        self.certverify = self._sdrcachedir = self._netchannel = self._ipv6support = None
        self._sdr: Records | None = None
        self._oem, self._oemknown = generic.OEMHandler(None, None), True

    def init_sdr(self) -> Records:
        """Read once a session: what sensors there are does not change meanwhile."""
        if self._sdr is None:
            self._sdr = Records(self)
        return self._sdr


def log_in(
    where: str,
    address: str,
    port: int,
    user: str,
    password: str,
    *,
    suite: int | None,
    timeout: float,
) -> tuple[Command, int]:
    """(commands, the suite that worked). One try of the password; suites cost no try.

    With `suite` only that one is spoken: falling back would let somebody in between choose.
    """
    suites = (suite,) if suite else LADDER
    reason = ""
    for number in suites:
        quiet = timeout if number == suites[-1] else min(QUIET, timeout)
        try:
            open_ = partial(
                Session, address, port, user, password, suite=number, timeout=timeout, quiet=quiet
            )
            return Command(_as_high_as_it_goes(open_)), number
        except WrongSuite as error:
            reason = str(error)
        except Silent as error:
            if not error.heard or number == suites[-1]:
                raise silence(where, error) from error
        except Rejected as error:
            raise _rejection(where, user, error) from error
        except MetalError as error:
            raise type(error)(error.what, where=where, mend=error.mend) from error
        except OSError as error:
            raise silence(where, error) from error
    raise Refused(
        f"it does not speak cipher suite {' or '.join(map(str, suites))} ({reason})",
        where=where,
        mend="allow one of 17 and 3 in its settings"
        + ("; if its firmware changed, remove cipher_suite in the inventory" if suite else ""),
    )


def _as_high_as_it_goes(open_: Callable[..., Session]) -> Session:
    """As administrator; as operator where the BMC gives nobody more (I04): power, boot and
    sensors need no more."""
    try:
        return open_(privilege=ADMINISTRATOR)
    except Rejected as error:
        if error.status not in NO_ROLE:
            raise
    return open_(privilege=OPERATOR)


def silence(where: str, error: Exception) -> Unreachable:
    """What to tell when a BMC does not answer."""
    closed = isinstance(error, ConnectionRefusedError)
    return Unreachable(
        "nothing listens there" if closed else f"no answer ({error})",
        where=where,
        mend="check its address, cable and power, and that IPMI over LAN is switched on",
    )


def _rejection(where: str, user: str, error: Rejected) -> MetalError:
    if error.status in NO_RESOURCES:
        return Unreachable(
            "it has no session left", where=where, mend="old sessions end by themselves in 60 s"
        )
    if error.status in WRONG or "password" in str(error):
        return WrongPassword(
            f"wrong password for {user!r} ({error}); one try was made, so that the BMC does not "
            "lock the account",
            where=where,
            mend="ask the donor for the password or reset the BMC to its factory state",
        )
    return Failed(f"cannot log in as {user!r}: {error}", where=where)
