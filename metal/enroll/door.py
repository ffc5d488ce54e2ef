"""The way into one BMC: one session, shared by the steps, each credential tried once a run."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from metal.drivers.ports import Bmc, Secrets
from metal.enroll.passwords import beginnings, ensure_taken, random_password
from metal.model.errors import BadInput, MetalError, NotTaken, Unreachable, WrongPassword
from metal.model.fleet import BmcAccess

Connect = Callable[[BmcAccess, str, str], Bmc]
"""(access, user, password): one try."""

OURS = "secrets/"
"""The source of a password that is kept here."""
LONGEST = 63
"""Characters in a part of a secret's name."""


@dataclass(frozen=True)
class Credential:
    """What a BMC was delivered with. The password shows up in no text made of this."""

    user: str
    password: str = field(repr=False)
    source: str = field(default="", compare=False)
    """Where a person gave it, for errors: "list.csv:3"."""


def secret_name(server: str) -> str:
    """Where the password of metal's own account is kept."""
    return f"bmc/{server}"


def next_name(server: str) -> str:
    """Where a rotation keeps a password that the BMC may have already, or may not have yet.
    `server`: the first one behind it then."""
    return f"bmc-next/{server}"


def pending(secrets: Secrets, *servers: str) -> tuple[str, ...]:
    """What a rotation that did not end may have given the BMC of `servers`, the likeliest first."""
    new = next(filter(None, (secrets.reveal(next_name(name)) for name in servers)), None)
    return (new, *beginnings(new)) if new else ()


def first_name(access: BmcAccess) -> str:
    """Where the password is kept of an account that had to be changed before anything was known
    of the server, its name too."""
    plain = re.sub("[^a-z0-9]", "-", f"{access.address.lower()}-{access.port or 0}")
    if plain.startswith("-") or len(plain) > LONGEST:  # such as ::1
        plain = hashlib.sha256(plain.encode()).hexdigest()[:LONGEST]
    return f"bmc-first/{plain}"


def with_first(
    delivered: tuple[Credential, ...], access: BmcAccess, secrets: Secrets
) -> tuple[Credential, ...]:
    """Before those it was delivered with: what a run that was killed may have changed them to."""
    held = secrets.reveal(first_name(access))
    if not held:
        return delivered
    changed, cut = (
        [Credential(c.user, password, OURS) for c in delivered for password in passwords]
        for passwords in ([held], beginnings(held))
    )
    return tuple(dict.fromkeys((*changed, *delivered, *cut)))


@dataclass(frozen=True)
class Kept:
    """The password that is kept under a name, for all administrators and for the controller."""

    secrets: Secrets
    name: str

    def now(self) -> str | None:
        return self.secrets.reveal(self.name)

    def keep(self, password: str) -> None:
        """Escrowed when it returns; the administrators' older ones stay beside it."""
        self.secrets.escrow(self.name, password, controller=True)


class Door:
    """Opened when needed, and opened anew after silence, with the credential that worked before.

    `own` tells the escrowed password of the account `access.user` (a newcomer has none until it
    has a name). It is tried first, then the `delivered` ones in order. One that was refused is
    never tried again: BMCs lock accounts (R53).
    """

    def __init__(
        self,
        access: BmcAccess,
        connect: Connect,
        delivered: tuple[Credential, ...] = (),
        own: Callable[[], str | None] = lambda: None,
        *,
        where: str = "",
        first: Kept | None = None,
        most: int | None = None,
    ) -> None:
        """`first`: where a password is kept for the account of a BMC that shows nothing before
        the one it was delivered with is changed (R49). None: nothing may be changed.
        `most`: wrong log-ins in a row that the BMC bears, by its own word; None: not told."""
        self._first, self._most = first, most
        self._wrong: Counter[str] = Counter()
        """User → log-ins in a row that were refused."""
        self.access, self.own, self._connect = access, own, connect
        self._delivered, self._where = delivered, where or access.address
        self._open: Bmc | None = None
        self._refused: set[Credential] = set()
        self.used: Credential | None = None
        """What opened it last."""

    def bmc(self) -> Bmc:
        """The BMC, logged in. WrongPassword when no credential opened it, each tried once."""
        if self._open is None:
            self._open = self._enter()
            self._hold_to(self._open)
            self._change_first(self._open)
        return self._open

    def close(self) -> None:
        bmc, self._open = self._open, None
        if bmc:
            bmc.close()

    def enter_as_own(self) -> Bmc:
        """A new log-in with the escrowed password and nothing else to fall to: the proof."""
        self.close()
        self._open = self._log_in(Credential(self.access.user, self.own() or ""))
        return self._open

    def ensure_taken(self, user: str, password: str, kept: Kept, longest: int | None = None) -> str:
        """`user` has `password`, or where the BMC refuses that one, another that is `kept` then."""

        def attempt(new: str) -> None:
            try:
                self.bmc().ensure_account(user, new)
            except NotTaken as error:
                self._wrong[user] += error.tries
                raise

        self.bmc()
        before = self.used
        return ensure_taken(
            attempt,
            password,
            kept.keep,
            lambda: before is not None and self._opens(before),
            lambda new: self._opens(Credential(user, new)),
            longest,
        )

    def _opens(self, credential: Credential) -> bool:
        """A new log-in, with nothing else to fall to; False also where that could lock it."""
        self.close()
        if not self._may_try(credential.user):
            return False
        try:
            self._open = self._log_in(credential)
        except WrongPassword:
            return False
        return True

    def _may_try(self, user: str) -> bool:
        return self._most is None or self._wrong[user] < self._most

    def _log_in(self, credential: Credential) -> Bmc:
        try:
            bmc = self._connect(self.access, credential.user, credential.password)
        except WrongPassword:
            self._wrong[credential.user] += 1
            raise
        self._wrong[credential.user] = 0
        self.used = credential
        return bmc

    def retried(self, act: Callable[[], None]) -> Callable[[], None]:
        """`act` as a step: after silence the next try logs in anew."""

        def attempt() -> None:
            try:
                act()
            except Unreachable:
                self.close()
                raise

        return attempt

    def _enter(self) -> Bmc:
        refusals: list[tuple[Credential, WrongPassword]] = []
        for credential in self._credentials():
            if not self._may_try(credential.user):
                continue
            try:
                return self._log_in(credential)
            except WrongPassword as error:
                self._refused.add(credential)
                refusals.append((credential, error))
        raise _wrong(refusals) if refusals else self._no_credential()

    def _change_first(self, bmc: Bmc) -> None:
        """The same password again for who goes on after a crash. The session goes on with it."""
        if self._first is None or self.used is None or not getattr(bmc, "must_change", False):
            return
        try:
            if (first := self._first.now()) is None:
                self._first.keep(first := random_password())
            password = self.ensure_taken(self.used.user, first, self._first)
        except BaseException:
            self.close()
            raise
        self.used = Credential(self.used.user, password)

    def _credentials(self) -> list[Credential]:
        own = self.own()
        first = [Credential(self.access.user, own, OURS)] if own is not None else []
        if self.used and self.used not in first:
            first.append(self.used)
        return [c for c in dict.fromkeys((*first, *self._delivered)) if c not in self._refused]

    def _no_credential(self) -> MetalError:
        if self._refused:
            return WrongPassword(
                "every credential at hand was refused before; none is tried twice",
                where=self._where,
                mend="find the right one, then run the same again",
            )
        return BadInput(
            "no credential for its BMC",
            where=self._where,
            mend="give the one it was delivered with",
        )

    def _hold_to(self, bmc: Bmc) -> None:
        """From now on only this certificate and this suite, also before they are recorded."""
        self.access = self.access.model_copy(
            update={
                "fingerprint": bmc.fingerprint,
                "cipher_suite": bmc.cipher_suite,
                "protocol": bmc.protocol,
            }
        )


def _wrong(refusals: list[tuple[Credential, WrongPassword]]) -> WrongPassword:
    """With where each came from: a person corrects it there, or gives another."""
    last = refusals[-1][1]
    said = [f"{c.user!r} from {c.source}" for c, _ in refusals if c.source]
    of = f"\n  tried: {', '.join(dict.fromkeys(said))}" if said else ""
    given = any(credential.source != OURS for credential, _ in refusals)
    mend = f"give another one with --credentials FILE; else {last.mend}" if given else last.mend
    if len(refusals) == 1:
        return WrongPassword(f"{last.what}{of}", where=last.where, mend=mend)
    return WrongPassword(
        f"none of {len(refusals)} credentials opened it, each tried once; the last: "
        f"{last.what}{of}",
        where=last.where,
        mend=mend,
    )
