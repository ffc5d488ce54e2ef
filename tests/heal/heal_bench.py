"""A formed cluster of the Proxmox double, and the flows of healing run on it."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from metal.drivers.commands import Result
from metal.drivers.proxmox import Root
from metal.heal.flow import recover
from metal.heal.ports import HealPorts
from metal.lab.proxmox.shell import Shell
from metal.model.addresses import Addressing
from metal.model.errors import Unreachable
from metal.model.plan import RecoverServer, Restart, Risk
from metal.operations.run import Outcome, perform
from metal.operations.store import Store
from metal.operations.switching import Switching

WHY: dict[str, Any] = {"what": "a test", "why": "it tests", "risk": Risk.DISRUPTS}
VMS = {"git": 101, "wiki": 102}
RECOVER = RecoverServer(server="alba1", cluster="alba", vms=VMS, **WHY)


class Killed(BaseException):
    """The process dies here."""


class Bmc:
    """A BMC that really cuts the power of its node in the double."""

    by = "its BMC"

    def __init__(self, lab: Any, node: str) -> None:
        self._lab, self._node = lab, node
        self.reads: Any = None
        self.silent = False
        self.opened = self.closed = self.switched = 0

    def __call__(self) -> "Bmc":
        self.opened += 1
        return self

    def ensure_power(self, wanted: str) -> None:
        assert wanted == "off"
        self.switched += 1
        if self.silent:
            raise Unreachable("no answer", where=self._node)
        self._lab.datacenter.power_off(self._node)

    def power(self) -> str:
        if self.reads:
            return str(self.reads) if isinstance(self.reads, str) else next(self.reads)
        return str(self._lab.datacenter.truth()["nodes"][self._node]["power"])

    def close(self) -> None:
        self.closed += 1


class Bench:
    """A formed cluster with two running VMs on alba1, a store, and what the flows told it."""

    def __init__(self, lab: Any, store: Store) -> None:
        self.lab, self.store = lab, store
        self.bmc = Bmc(lab, "alba1")
        self.held: dict[str, str] = {}
        self.drained: list[str] = []
        self.driver = lab.form()

    def vms(self, *, ha: bool) -> None:
        for name, vmid in VMS.items():
            self.driver.ensure_vm(
                vmid=vmid,
                name=name,
                node="alba1",
                vcpus=1,
                memory_mib=1024,
                disk_gib=10,
                storage="vms",
                addressing=Addressing(treatment="ipv6", private_ipv4=f"10.0.0.{vmid}/24"),
                ha=ha,
            )
            self.driver.ensure_started(vmid)

    def run(
        self, flow: Any, action: Any, *, patience: float = 20, term: Any = None, **other: Any
    ) -> Outcome:
        given = {
            "hypervisor": self.rooted(),
            "power": Switching(lambda _key, _why: self.bmc(), every=0.05),
            "hold": self.held.__setitem__,
            "place": lambda _server, _vm: pytest.fail("HA finds the places"),
            "storage": "vms",
            "draining": self.drained.append,
            "patience": patience,
            "every": 0.05,
        }
        ports = HealPorts(**(given | other))
        params = action.model_dump(mode="json")
        operation = self.store.journal.open(action.kind, action.server, [], params, term=term)
        return perform(self.store, operation, lambda r: flow(r, action, ports), term=term)

    def rooted(self) -> Any:
        """The driver, with root's shells on the nodes."""
        lab = self.lab
        shells = Root(
            shell=lambda node: Shell(lab.datacenter, node),
            addresses=lambda node: [lab.access[node].address],
        )
        return lab.driver(root=shells)

    def lose(self) -> None:
        """alba1 loses its network, and its cluster has noticed."""
        self.lab.datacenter.cable("alba1", plugged=False)
        deadline = time.monotonic() + 30
        while self.lab.driver().look()[1]["alba1"] != "offline":
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def truth(self) -> dict[str, Any]:
        return {v["name"]: v for v in self.lab.datacenter.truth()["vms"]}


# ── VMs that HA does not manage ──────────────────────────────────────────────────────────────────


def place(_server: str, vm: str) -> Restart:
    return Restart(
        vm=vm,
        vmid=VMS[vm],
        target="alba2" if vm == "git" else "alba3",
        vcpus=1,
        memory_mib=1024,
        disk_gib=10,
        addressing=Addressing(treatment="ipv6", private_ipv4="10.0.0.5/24"),
    )


def run(bench: Bench, **other: Any) -> Outcome:
    return bench.run(recover, RECOVER, **({"place": place} | other))


def die(bench: Bench) -> None:
    bench.lab.datacenter.power_off("alba1")


def nodes(bench: Bench) -> dict[str, Any]:
    return {name: vm["copies"] for name, vm in bench.truth().items()}


class Falters:
    """Root's shells, which die or are cut off at the nth command that changes something."""

    CHANGES = ("mv", "ceph osd blocklist add", "qm unlock")

    def __init__(self, bench: Bench, at: int, when: str, error: BaseException) -> None:
        self._bench, self._left, self._when, self._error = bench, at, when, error
        self.hit = False
        self.act: Callable[[], None] | None = None
        """Done in place of dying."""

    def shell(self, node: str) -> Any:
        falters, real = self, Shell(self._bench.lab.datacenter, node)

        class Here:
            where = node

            def run(self, argv: Sequence[str], **more: Any) -> Result:
                counts = " ".join(argv).startswith(falters.CHANGES)
                falters._left -= counts
                if counts and falters._left == 0:
                    falters.hit = True
                    if falters._when == "after":
                        done = real.run(argv, **more)
                    if falters.act is None:
                        raise falters._error
                    falters.act()
                    return done
                return real.run(argv, **more)

        return Here()


def faltering(bench: Bench, at: int, when: str, error: BaseException) -> tuple[Any, Falters]:
    falters = Falters(bench, at, when, error)
    root = Root(shell=falters.shell, addresses=lambda n: [bench.lab.access[n].address])
    return bench.lab.driver(root=root), falters


def seen_place(bench: Bench) -> Callable[[str, str], Restart]:
    """As the watcher does it: what was moved already is to run where it was moved to."""

    def there(server: str, name: str) -> Restart:
        at = bench.driver.where(VMS[name])[0]
        planned = place(server, name)
        return planned if at == server else planned.model_copy(update={"target": at})

    return there
