"""Taking BMCs over, on real protocols, a real journal and real age files; killed anywhere."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyrage
import pytest

from metal.cli.render.facts import facts_lines
from metal.drivers.bmc import connect
from metal.drivers.ports import Bmc
from metal.drivers.secrets import AgeSecrets
from metal.enroll.flow import (
    Credential,
    EnrollPorts,
    EnrollTarget,
    Looked,
    enroll,
    look,
    random_password,
)
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machine import Hardware, Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.web import self_signed
from metal.model.errors import BadInput, Refused, Unreachable, WrongPassword
from metal.model.facts import Cpu, Dimm, Drive, Nic
from metal.model.fleet import BmcAccess, Disk, Learned
from metal.model.life import Status
from metal.operations.run import Outcome, perform
from metal.operations.store import open_store

FACTORY = Credential("ADMIN", "factory-Pa55word")
PROTOCOLS = ("redfish", "ipmi")


class Killed(BaseException):
    """As SIGKILL: no handler of the flow may make anything of it."""


@dataclass
class Scene:
    """One server to enrol, and everything the flow needs, real."""

    folder: Path
    bmc: RedfishBmc | IpmiBmc
    target: EnrollTarget
    ports: EnrollPorts
    identity: pyrage.x25519.Identity
    records: list[tuple[str, Looked]] = field(default_factory=list)
    result: Looked | None = None

    def run(self, ports: EnrollPorts | None = None) -> Outcome:
        """One `metal enroll`: opens the operation (or finds it open) and performs it."""
        store = open_store("sqlite", self.folder / "state")
        try:
            operation = store.journal.open("enroll", "alba1", ["alba1"], {})

            def flow(run: Any) -> None:
                self.result = enroll(run, self.target, ports or self.ports)

            return perform(store, operation, flow)
        finally:
            store.close()

    def password(self) -> str:
        """What an administrator finds in secrets/."""
        sealed = (self.folder / "secrets" / "bmc" / "alba1.age").read_bytes()
        return pyrage.decrypt(sealed, [self.identity]).decode()

    def check_taken_over(self) -> None:
        assert self.bmc.works("metal", self.password())
        assert not self.bmc.works(FACTORY.user, FACTORY.password)


@pytest.fixture(params=PROTOCOLS)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    hardware = Hardware(
        vendor="HP",
        model="ProLiant DL360 G7",
        serial="CZ3110ABCD",
        uuid="4c4c4544-0042-4a10-8036-b4c04f4d3132",
        bios_version="P68",
        bmc_firmware="1.94",
        cpu=Cpu(model="Intel(R) Xeon(R) CPU X5650 @ 2.67GHz", sockets=2, cores=12, threads=24),
        dimms=tuple(Dimm(slot=f"DIMM A{i}", size_gib=8) for i in range(1, 7)),
        drives=(Drive(name="sda", size_bytes=240 * 10**9, media="ssd", serial="S1"),),
        nics=(Nic(name="NIC 1", mac="02:00:5e:00:07:01"),),
    )
    machine, accounts = Machine("alba1", hardware), {FACTORY.user: FACTORY.password}
    bmc: RedfishBmc | IpmiBmc
    if request.param == "redfish":
        certificate = self_signed(tmp_path / "tls", "bmc", "127.0.0.1")
        bmc = RedfishBmc(machine, "127.0.0.1", 0, certificate, accounts).start()
    else:
        bmc = IpmiBmc(machine, "127.0.0.1", 0, accounts, cipher_suite=3).start()
    identity = pyrage.x25519.Identity.generate()
    secrets = AgeSecrets(tmp_path / "secrets", tmp_path / "state", [str(identity.to_public())])
    records: list[tuple[str, Looked]] = []
    scene = Scene(
        tmp_path,
        bmc,
        EnrollTarget(
            "alba1",
            BmcAccess(address="127.0.0.1", protocol=request.param, port=bmc.port),
            Learned(memory_gib=48, disks=(Disk(name="sda", size_gib=223),)),
        ),
        EnrollPorts(
            connect=lambda access, user, password: connect(access, user, password, timeout=0.5),
            secrets=secrets,
            record=lambda *entry: records.append(entry),
            delivered=(FACTORY,),
            tries=1,
        ),
        identity,
        records,
    )
    yield scene
    bmc.stop()


def test_a_server_is_learned_taken_over_and_recorded(scene: Scene) -> None:
    assert scene.run().status is Status.DONE
    scene.check_taken_over()
    [(name, looked)] = scene.records
    learned, access = looked.learned, looked.access
    assert (name, learned.model, learned.serial) == ("alba1", "ProLiant DL360 G7", "CZ3110ABCD")
    assert learned.uuid == "4c4c4544-0042-4a10-8036-b4c04f4d3132"
    assert (learned.memory_gib, len(learned.disks)) == (48, 1)
    assert access.user == "metal"
    if isinstance(scene.bmc, RedfishBmc):
        assert access.fingerprint == scene.bmc.certificate.fingerprint
    else:
        assert access.cipher_suite == 3
    assert scene.result is not None and scene.result.learned == learned
    assert scene.bmc.failed_logins == 0


def test_who_may_log_in_is_read_after_the_take_over(scene: Scene) -> None:
    scene.run()
    [(_, told)] = scene.records
    who = {account.name: account.enabled for account in told.facts.accounts or ()}
    assert (who["metal"], who[FACTORY.user]) == (True, False), "as it is now, not as it was"
    assert f"{FACTORY.user} (disabled)" in "\n".join(facts_lines(told.facts))


def test_no_secret_is_in_the_journal_or_the_logs(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    scene.run()
    state = b"".join(p.read_bytes() for p in (scene.folder / "state").glob("metal.db*"))
    for secret in (scene.password(), FACTORY.password):
        assert secret.encode() not in state
        assert secret not in caplog.text
    assert FACTORY.password not in repr(scene.ports)


def test_again_changes_nothing(scene: Scene) -> None:
    scene.run()
    password = scene.password()
    assert scene.run().status is Status.DONE
    assert scene.run(replace(scene.ports, delivered=())).status is Status.DONE
    assert scene.password() == password
    assert scene.bmc.failed_logins == 0
    scene.check_taken_over()


def test_a_dry_run_touches_nothing(scene: Scene) -> None:
    seen = look(scene.target, scene.ports)
    assert seen.facts.model == "ProLiant DL360 G7"
    assert scene.bmc.works(FACTORY.user, FACTORY.password)
    assert not (scene.folder / "secrets").exists() and scene.records == []


def test_when_metal_s_account_is_the_delivered_one_its_password_changes(scene: Scene) -> None:
    access = scene.target.access.model_copy(update={"user": FACTORY.user})
    scene.target = replace(scene.target, access=access)
    assert scene.run().status is Status.DONE
    assert scene.bmc.works(FACTORY.user, scene.password())
    assert not scene.bmc.works(FACTORY.user, FACTORY.password)


class _Mortal:
    """Passes every call on; dies before or after the one whose turn it is."""

    def __init__(self, inner: Any, die: Callable[[], None]) -> None:
        self._inner, self._die = inner, die

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found) or name == "close":
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._die()
            result = found(*args, **kwargs)
            self._die()
            return result

        return call


def mortal_ports(scene: Scene, turn: int) -> EnrollPorts:
    """Ports that die at the `turn`-th moment: before and after each call there is one."""
    left = turn

    def die() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    def open_bmc(access: BmcAccess, user: str, password: str) -> Bmc:
        return _Mortal(scene.ports.connect(access, user, password), die)  # type: ignore[return-value]

    secrets: Any = _Mortal(scene.ports.secrets, die)
    return replace(scene.ports, connect=open_bmc, secrets=secrets)


@pytest.mark.parametrize("scene", ["ipmi"], indirect=True)
@pytest.mark.parametrize("turn", range(1, 19))
def test_killed_at_any_moment_the_next_run_ends_it(scene: Scene, turn: int) -> None:
    with pytest.raises(Killed):
        scene.run(mortal_ports(scene, turn))
    assert scene.run().status is Status.DONE
    scene.check_taken_over()
    assert len(scene.records) == 1
    # A password that was escrowed and not yet set is tried in vain once, and no other is.
    assert scene.bmc.failed_logins <= 1


def test_killed_again_and_again_it_ends_the_same(scene: Scene) -> None:
    deaths = 0
    while deaths < 40:
        try:
            outcome = scene.run(mortal_ports(scene, deaths + 1))
            break
        except Killed:
            deaths += 1
    assert outcome.status is Status.DONE and deaths >= 5
    scene.check_taken_over()
    assert scene.bmc.failed_logins <= deaths


def test_killed_between_escrow_and_set(scene: Scene) -> None:
    """The next run still gets in, and sets the password that is escrowed already."""
    first, done = scene.ports.secrets.escrow, []

    class Dying(AgeSecrets):
        def escrow(self, name: str, secret: str, *, controller: bool) -> None:
            first(name, secret, controller=controller)
            done.append(name)
            raise Killed

    dying = Dying(scene.folder / "secrets", scene.folder / "state", [])
    with pytest.raises(Killed):
        scene.run(replace(scene.ports, secrets=dying))
    assert done and scene.bmc.works(FACTORY.user, FACTORY.password)
    password = scene.password()
    assert scene.run().status is Status.DONE
    assert scene.password() == password
    scene.check_taken_over()


def test_a_wrong_password_is_tried_once(scene: Scene) -> None:
    scene.bmc.faults.add("lockout")
    wrong = replace(scene.ports, delivered=(Credential(FACTORY.user, "not-this-one"),), tries=3)
    outcome = scene.run(wrong)
    assert (outcome.status, outcome.exit_code) == (Status.FAILED, 3)
    assert "one try was made" in outcome.error and "not-this-one" not in outcome.error
    assert scene.bmc.failed_logins == 1
    assert scene.run().status is Status.DONE
    scene.check_taken_over()


def test_nobody_at_that_address(scene: Scene) -> None:
    scene.bmc.stop()
    outcome = scene.run()
    assert (outcome.status, outcome.exit_code) == (Status.FAILED, 4)
    assert re.search(r"BMC 127\.0\.0\.1: .*\n  → ", outcome.error)
    assert scene.records == [] and not (scene.folder / "secrets").exists()


@pytest.mark.parametrize("scene", ["redfish"], indirect=True)
def test_a_changed_certificate_gets_no_password(scene: Scene) -> None:
    assert isinstance(scene.bmc, RedfishBmc)
    access = scene.target.access.model_copy(update={"fingerprint": ":".join(["AB"] * 32)})
    scene.target = replace(scene.target, access=access)
    outcome = scene.run()
    assert outcome.exit_code == 3 and "certificate changed" in outcome.error
    assert "AB:AB" in outcome.error and scene.bmc.certificate.fingerprint in outcome.error
    assert scene.bmc.requests == 0 and scene.records == []


@pytest.mark.parametrize("scene", ["redfish"], indirect=True)
def test_a_certificate_that_changes_between_the_steps(scene: Scene) -> None:
    """The pin of the first look holds when the operation goes on, before anything is recorded."""
    bmc, escrow = scene.bmc, scene.ports.secrets.escrow
    assert isinstance(bmc, RedfishBmc)

    class Swapping(AgeSecrets):
        def escrow(self, name: str, secret: str, *, controller: bool) -> None:
            escrow(name, secret, controller=controller)
            raise Killed

    with pytest.raises(Killed):
        scene.run(
            replace(scene.ports, secrets=Swapping(scene.folder / "secrets", scene.folder, []))
        )
    bmc.stop()
    bmc.certificate = self_signed(scene.folder / "tls", "other", "127.0.0.1")
    bmc.start()
    outcome = scene.run()
    assert outcome.exit_code == 3 and "certificate changed" in outcome.error
    assert bmc.works(FACTORY.user, FACTORY.password)


def test_a_bmc_that_falls_silent_midway(scene: Scene) -> None:
    class Silencing(AgeSecrets):
        def escrow(self, name: str, secret: str, *, controller: bool) -> None:
            super().escrow(name, secret, controller=controller)
            scene.bmc.faults.add("silent")

    keys = [str(scene.identity.to_public())]
    silencing = Silencing(scene.folder / "secrets", scene.folder / "state", keys)
    outcome = scene.run(replace(scene.ports, secrets=silencing))
    assert (outcome.status, outcome.exit_code) == (Status.FAILED, 4)
    assert scene.records == []
    scene.bmc.faults.clear()
    assert scene.run().status is Status.DONE
    scene.check_taken_over()


def test_a_refused_account_leaves_the_old_one_in_use(scene: Scene) -> None:
    scene.bmc.faults.add("password-policy")
    outcome = scene.run()
    assert outcome.exit_code == 1 and scene.password() not in outcome.error
    assert scene.bmc.works(FACTORY.user, FACTORY.password) and scene.records == []
    scene.bmc.faults.clear()
    assert scene.run().status is Status.DONE
    scene.check_taken_over()


def test_without_any_credential(scene: Scene) -> None:
    with pytest.raises(BadInput, match="no credential"):
        look(scene.target, replace(scene.ports, delivered=()))


def test_errors_keep_their_kinds() -> None:
    assert issubclass(WrongPassword, Refused) and not issubclass(Unreachable, Refused)


def test_passwords_fit_the_weakest_rule() -> None:
    made = {random_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        assert len(password.encode()) == 16
        for kind in ("[a-z]", "[A-Z]", "[0-9]", r"[-_.+]"):
            assert re.search(kind, password)
