"""Install one server: a durable operation. Killed anywhere and run again it ends the same.

The wipe is authorised by the install record and used up when the boot service hands the preseed
out, exactly once. From then on nothing here touches the machine's power: it only waits. What
fails before it is up needs a new operation, with a new key, for a new wipe. Its last steps
replace the key that crossed the boot network (metal/install/rekey.py).
"""

from collections.abc import Callable

from metal.install.by_image import install_image
from metal.install.by_medium import boot_of, put_away
from metal.install.derived import hash_of, token_of
from metal.install.ports import InstallPorts, has_reached, record_of
from metal.install.random_keys import new_key
from metal.install.rekey import RekeyPorts, rekey
from metal.model.errors import Failed, MetalError, Refused, Unreachable
from metal.model.life import Life, Status
from metal.model.plan import InstallServer
from metal.operations.installs import AGAIN, Install
from metal.operations.lease import LeaseLost
from metal.operations.run import Run

INSTALLABLE = (Life.ENROLLED, Life.TESTED)


def install(run: Run, action: InstallServer, ports: InstallPorts) -> None:
    """Take an enrolled server to `installed`; its record says how it went."""
    name = action.server
    try:
        run.step("check", lambda: _check(action, ports))
        ports.store.servers.mark(name, Status.RUNNING, run=run)
        _Install(run, action, ports).perform()
        ports.store.servers.mark(name, Status.DONE, run=run)
    except LeaseLost:
        raise
    except MetalError as error:
        # Not a step: the journal ends where it failed, and goes on from there.
        put_away(run, action, ports)
        ports.store.servers.mark(name, Status.FAILED, f"install: {error.what}", run=run)
        raise


def _check(action: InstallServer, ports: InstallPorts) -> None:
    record = ports.store.servers.get(action.server)
    if record.life not in INSTALLABLE:
        raise Refused(
            f"it is {record.life}, and only an enrolled or tested server is installed",
            where=action.server,
            mend="make a new plan: `metal plan`",
        )


class FirstBoot:
    """The first boot waits for the key that the installer got, and the controller has that."""

    def __init__(self, server: str, ports: InstallPorts, say: Callable[[str], None]) -> None:
        self._server, self._ports, self._say = server, ports, say
        self._over = False

    def unlock(self) -> None:
        """Asked again and again; gives the key once. Without it somebody at the rack must."""
        key = None if self._over else self._ports.secrets.reveal(f"disk/{self._server}")
        if key is None:
            return
        try:
            self._ports.unlock(key)
            self._say("unlocked for its first boot, through dropbear")
        except Unreachable:
            return  # it restarts still, or it runs
        except MetalError as error:
            self._say(f"not unlocked through dropbear: {error.what}")
        self._over = True


class _Install:
    """The steps, in their order. What is decided rests on the steps' results."""

    def __init__(self, run: Run, action: InstallServer, ports: InstallPorts) -> None:
        self.run, self.action, self.ports = run, action, ports
        self.name, self.patience = action.server, ports.patience
        self._looped = False

    def perform(self) -> None:
        run = self.run
        what = "the image" if self.ports.live else "the installer"
        run.progress(0.0, f"fetching {what}")
        run.step(f"fetch {what}", self.ports.fetch, tries=3, backoff=2)
        run.step("forget its old certificate and keys", self._unpin)
        run.step("escrow the keys", self._escrow)
        run.step("open the install", self._open)
        if self.ports.live:
            install_image(run, self.action, self.ports)
        else:
            boot_of(run, self.action, self.ports).perform()
            self._follow()
        self._first_boot()
        run.step("pin the node", self._pin)
        run.progress(0.95, "up; replacing the key that crossed the network")
        rekey(run, self.name, self._rekey_ports(), alone=True)
        if self.action.route == "redfish-iso":
            run.step("see its medium out", lambda: put_away(run, self.action, self.ports))
        run.step("close the install", lambda: self.ports.store.installs.close(run.id))
        run.step("installed", self._move)

    # ── before anything can be handed out ───────────────────────────────────────────────────

    def _unpin(self) -> None:
        self.ports.store.servers.unpin(self.name, run=self.run)
        self.ports.host_keys.forget(self.name)

    def _escrow(self) -> None:
        """Both secrets are the administrators' before anything on the server depends on them.

        A step killed in here runs again and escrows anew: the install is not open yet, so
        nobody used the first ones.
        """
        for kind in ("disk", "root"):
            self.ports.secrets.escrow(f"{kind}/{self.name}", new_key(), controller=True)

    def _open(self) -> None:
        key = self.ports.secrets.reveal(f"disk/{self.name}")
        if key is None:
            raise Failed(
                "the disk key that was escrowed is not held here any more",
                where=self.name,
                mend=f"metal run cancel {self.run.id}, then plan the install anew",
            )
        action = self.action
        self.ports.store.installs.open(
            self.name, action.mac, action.uuid, hash_of(token_of(key)), self.run.id
        )

    # ── waiting for its phases ──────────────────────────────────────────────────────────────

    def _follow(self) -> None:
        for phase, seconds, fraction, saying, late in (
            ("partitioned", self.patience.partitioned, 0.2, "partitioning", "partition its disk"),
            ("base", self.patience.base, 0.3, "installing the base system", "install Debian"),
            ("finished", self.patience.finished, 0.5, "installing packages", "finish"),
        ):
            self._wait_for(phase, seconds, fraction, saying, late)

    def _first_boot(self) -> None:
        self.run.step("pin its SSH keys", self._pin_ssh)
        key = f"come up: was its disk unlocked with the key in secrets/disk/{self.name}.age?"
        first = FirstBoot(self.name, self.ports, self.run.say)
        self._wait_for("up", self.patience.up, 0.85, "booting from its disk", key, first.unlock)

    def _wait_for(
        self,
        phase: str,
        seconds: float,
        fraction: float,
        saying: str,
        late: str,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        def ready() -> str | None:
            self._tell_of_a_loop()
            if self._reached(phase):
                return phase
            meanwhile()
            return None

        self.run.progress(fraction, saying)
        self.run.wait(
            f"wait for {phase}",
            ready,
            seconds=seconds,
            every=self.patience.poll,
            late=f"after {seconds:g} s it did not {late}",
        )

    def _tell_of_a_loop(self) -> None:
        """Only what to do: it was sent to its disk, and is not installed a second time."""
        install = self._record()
        if self._looped or install is None or AGAIN not in install.details:
            return
        self._looped = True
        self.run.say(
            "it boots from the network once more, and was sent to its disk: put the disk first in "
            "its boot order, if its BMC does not keep to one boot"
            + ("" if self._reached("finished") else "; it restarted before Debian was whole")
        )

    def _reached(self, phase: str) -> bool:
        return has_reached(self.ports.store, self.name, self.run.id, phase)

    def _record(self) -> Install | None:
        return record_of(self.ports.store, self.name, self.run.id)

    # ── putting things away ─────────────────────────────────────────────────────────────────

    def _pin_ssh(self) -> None:
        """What the installer told, with a proof, of the keys it made: nothing else is trusted."""
        install = self._record()
        if install is None or "host_key" not in install.details:
            raise Failed(
                "its installer told no SSH host key",
                where=self.name,
                mend="does the workspace have a preseed/ of its own? Compare late.sh.j2 and "
                "metal-up.sh.j2 with the packaged ones",
            )
        self.ports.host_keys.pin(self.name, "system", [install.details["host_key"]])
        self.ports.host_keys.pin(self.name, "initramfs", [install.details["initramfs_key"]])

    def _pin(self) -> None:
        """Trust the certificate that the machine told when it came up: its first contact. A plain
        Debian has none; it gets one when it is made a host (metal/cluster/hosts.py)."""
        install = self._record()
        if install is None or "fingerprint" not in install.details:
            raise Failed(
                "it is up but told no fingerprint of its certificate",
                where=self.name,
                mend="look at /etc/pve/local/pve-ssl.pem on it",
            )
        if pin := install.details["fingerprint"]:
            self.ports.store.servers.pin(self.name, pin)

    def _rekey_ports(self) -> RekeyPorts:
        escrow = self.ports.secrets

        def throw_away() -> list[str]:
            key = escrow.reveal(f"disk/{self.name}")
            return [] if key is None else [key]

        ports = self.ports
        return RekeyPorts(escrow, ports.disks, throw_away, ports.pins, ports.held)

    def _move(self) -> None:
        self.ports.store.servers.move(self.name, Life.INSTALLED, run=self.run)
