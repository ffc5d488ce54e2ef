"""Boot a server from a medium: an image in its BMC's virtual drive, or a stick that somebody has.

The installer runs from memory: once it took its preseed the medium is taken out. A drive that
cannot be emptied ends no install, as the medium boots what it installed; it is said, and tried
again at the end.
"""

from metal.drivers.ports import Bmc
from metal.install.booting import AWAY, NetworkBoot
from metal.install.ports import InstallPorts, record_of
from metal.model.errors import Failed, MetalError
from metal.model.plan import InstallServer
from metal.operations.run import Run


def boot_of(run: Run, action: InstallServer, ports: InstallPorts) -> NetworkBoot:
    """How the server of `action` gets to its installer: by the route that the plan chose."""
    match action.route:
        case "redfish-iso":
            return DriveBoot(run, action, ports)
        case "stick":
            return StickBoot(run, action, ports)
        case _:
            return NetworkBoot(run, action, ports)


class DriveBoot(NetworkBoot):
    """The BMC is given the image, and boots it once."""

    source = "its virtual drive"
    doubt = "does its BMC show the image, does it boot from there, and does it"

    def perform(self) -> None:
        assert self.ports.medium is not None
        self.run.progress(0.03, "making its medium")
        self.run.step("make its medium", self.ports.medium.ensure)
        super().perform()
        self.run.step("take its medium out", self._take_out)

    def aim(self, bmc: Bmc) -> None:
        self._insert(bmc)
        bmc.ensure_boot_once("media")

    def _insert(self, bmc: Bmc) -> None:
        """By HTTPS; by HTTP from those that cannot. An address is as good as the image: no error
        tells it."""
        assert self.ports.medium is not None
        self.ports.medium.ensure()
        addresses = self.ports.medium.addresses()
        for number, url in enumerate(addresses, 1):
            try:
                bmc.ensure_media(url)
                return
            except MetalError as error:
                if number == len(addresses) or not isinstance(error, Failed):
                    shown = error.what.replace(url, f"{url.rpartition('/')[0]}/…")
                    raise type(error)(shown, where=error.where, mend=error.mend) from None

    def _take_out(self) -> bool:
        return put_away(self.run, self.action, self.ports)


class StickBoot(NetworkBoot):
    """Somebody carries the image there; no switch is touched, nobody knows when they are."""

    source = "a stick"

    def perform(self) -> None:
        self.run.progress(0.05, "waiting for somebody to boot it from its stick")
        self.run.say(
            f"`metal media make {self.name} --out {self.name}.iso` makes the image: write it to a "
            f"stick and boot {self.name} from that (it wipes {self.action.disk})"
        )
        self.run.wait(
            "wait for preseed",
            lambda: "preseed" if self.taken() else None,
            seconds=AWAY,
            every=self.patience.poll,
            late="nobody booted it from its stick in 30 days",
        )
        self.run.say("it has its answers: the stick may be taken out")


def put_away(run: Run, action: InstallServer, ports: InstallPorts) -> bool:
    """Empty the server's virtual drives and forget the image, if `run` may have filled them.

    Safe to repeat. What does not work is said: False.
    """
    opened = record_of(ports.store, action.server, run.id)
    if action.route != "redfish-iso" or ports.medium is None or opened is None:
        return True
    ports.medium.forget()
    try:
        bmc = ports.bmc(action.server)
        try:
            bmc.ensure_no_media()
        finally:
            bmc.close()
    except MetalError as error:
        mend = f"`metal media eject {action.server}`"
        run.say(f"its medium is still in its virtual drive ({error.what}): {mend}")
        return False
    return True
