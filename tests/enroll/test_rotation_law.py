"""Whatever a BMC makes of a new password, and wherever `metal` dies: what is kept opens it.

The flow, the journal and the age files are real; the BMC is as small as the law needs it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from metal.drivers.secrets import AgeSecrets
from metal.enroll.door import pending, secret_name
from metal.enroll.rotate import RotatePorts, rotate
from metal.model.errors import Failed, NotTaken, Refused, Unreachable, WrongPassword
from metal.model.facts import PasswordRules
from metal.model.findings import Finding
from metal.model.fleet import BmcAccess
from metal.model.life import Status
from metal.operations.run import Outcome, perform
from metal.operations.store import open_store

ACCESS = BmcAccess(address="198.51.100.1", protocol="redfish")
FIRST = "The-first-one-16"
TRIES = 5
MADE: dict[str, Callable[[str, str], str]] = {
    "takes": lambda _old, new: new,
    "takes, says no": lambda _old, new: new,
    "takes, falls silent": lambda _old, new: new,
    "takes, shows another certificate": lambda _old, new: new,
    "ignores": lambda old, _new: old,
    "refuses": lambda old, _new: old,
    "refuses signs": lambda old, new: new if new.isalnum() else old,
    "cuts at 12": lambda _old, new: new[:12],
    "cuts at 15": lambda _old, new: new[:15],
    "cuts at 12, falls silent": lambda _old, new: new[:12],
}
"""A manner → (the password it has, the one it is given) → the one it has then."""


class Killed(BaseException):
    """As SIGKILL: no handler of the flow may make anything of it."""


@dataclass
class Bmc:
    """It locks its account after TRIES wrong log-ins in a row, and has one session a client."""

    password: str = FIRST
    manner: str = "takes"
    wrong: int = 0
    dead: Callable[[], None] = lambda: None
    gone: str = ""
    """Why it lets nobody in, since it was given a password."""

    def log_in(self, password: str) -> None:
        if self.gone == "silent":
            raise Unreachable("no answer")
        if self.gone:
            raise Refused("its certificate changed")
        assert self.wrong < TRIES, "the account is locked"
        self.wrong += password != self.password
        if password != self.password:
            raise WrongPassword("wrong password")
        self.wrong = 0

    def take(self, new: str) -> None:
        self.password = MADE[self.manner](self.password, new)
        self.gone = "silent" if "silent" in self.manner else ""
        if "certificate" in self.manner:
            self.gone = "changed"


@dataclass
class Session:
    """metal.drivers.ports.Bmc, as far as a rotation goes."""

    bmc: Bmc
    password: str
    password_rules = PasswordRules(longest=20, tries=TRIES)
    fingerprint = cipher_suite = None
    protocol = "redfish"

    def ensure_account(self, _user: str, password: str) -> None:
        if password == self.password:
            return
        self.bmc.dead()
        self.bmc.take(password)
        self.bmc.dead()
        try:
            self.bmc.log_in(password)
        except WrongPassword as error:
            not_taken = NotTaken("did not take it")
            not_taken.tries = 1
            raise not_taken from error
        self.password = password

    def power(self) -> str:
        return "off"

    def close(self) -> None:
        pass


@dataclass
class Mortal:
    """The secrets, before and after whose every change there is a moment to die at."""

    secrets: AgeSecrets
    dead: Callable[[], None]

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.secrets, name)
        if name not in ("escrow", "promote"):
            return real

        def call(*args: Any, **kwargs: Any) -> None:
            self.dead()
            real(*args, **kwargs)
            self.dead()

        return call


@dataclass
class World:
    folder: Path
    bmc: Bmc = field(default_factory=Bmc)
    identity: Any = field(default_factory=pyrage.x25519.Identity.generate)
    found: list[Finding | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        recipients = [str(self.identity.to_public())]
        self.secrets = AgeSecrets(self.folder / "secrets", self.folder / "state", recipients)
        self.secrets.escrow(secret_name("alba1"), FIRST, controller=True)
        self.store = open_store("sqlite", self.folder / "state")

    def run(self, manner: str, death: int, full: bool = False) -> Outcome | None:
        """One `metal bmc rotate`; None: it died at the `death`-th moment (0: it does not).
        `full`: the disk is full at that moment, in place of death."""
        left = [death]

        def dead() -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Failed("no space left on device") if full else Killed

        bmc = self.bmc
        bmc.manner, bmc.gone, bmc.wrong, bmc.dead = manner, "", 0, dead

        def connect(_access: BmcAccess, _user: str, password: str) -> Session:
            dead()
            bmc.log_in(password)
            dead()
            return Session(bmc, password)

        secrets: Any = Mortal(self.secrets, dead)
        ports = RotatePorts(connect, secrets, self.found.append, tries=1)  # type: ignore[arg-type]
        operation = self.store.journal.open("bmc rotate", "alba1", ["alba1"], {}, 3)
        try:
            return perform(
                self.store, operation, lambda run: rotate(run, ACCESS, ("alba1",), ports)
            )
        except Killed:
            return None

    def check(self) -> None:
        """The controller and the administrators have what opens it, whole or cut."""
        own = self.secrets.reveal(secret_name("alba1"))
        assert self.bmc.password in (own, *pending(self.secrets, "alba1"))
        files = (self.folder / "secrets").rglob("*.age")
        told = [pyrage.decrypt(f.read_bytes(), [self.identity]).decode() for f in files]
        assert any(one.startswith(self.bmc.password) for one in told)


def rotations() -> st.SearchStrategy[list[tuple[str, int, bool]]]:
    one = st.tuples(st.sampled_from(sorted(MADE)), st.integers(0, 24), st.booleans())
    return st.lists(one, max_size=3)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example([("cuts at 12", 6, False), ("cuts at 15", 0, False)])
@given(rotations())
def test_what_is_kept_opens_it(runs: list[tuple[str, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for manner, death, full in runs:
            outcome = world.run(manner, death, full)
            world.check()
            if outcome and outcome.status is Status.DONE:
                assert world.secrets.reveal(secret_name("alba1")) == world.bmc.password
        before = world.bmc.password
        done = world.run("takes", 0)
        assert done and done.status is Status.DONE, done
        new = world.secrets.reveal(secret_name("alba1"))
        assert new == world.bmc.password and (new != before or runs)
        assert pending(world.secrets, "alba1") == () and world.found[-1:] != [None, None]
        world.store.close()
