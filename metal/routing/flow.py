"""Give a site's gateways their files, one after the other, each proven before the next is touched.

The one that does not carry the site is changed first, then the site is given to it, and only when
it is reached from here as before, by what the gateway now says, does it keep its files. Otherwise
it takes its former ones back by itself, and the site goes back to the other one, which nobody
touched. Then the other in the same way: it ends where it began.
"""

from collections.abc import Sequence
from functools import partial

from metal.drivers.gateway_engines import carried, units
from metal.drivers.trial import Trial
from metal.model.errors import Failed, Unreachable
from metal.operations.run import Run
from metal.routing.order import GatewayOrder, Order
from metal.routing.ports import Gateway, RoutingPorts

VERSION = 1
TRIES = 3


def apply(run: Run, order: Order, ports: RoutingPorts) -> dict[str, list[str]]:
    """Gateway → the files that are others now."""
    for one in order.gateways:
        run.progress(0.05, f"{one.name}: asking its engines")
        run.step(f"{one.name}: its engines would take it", partial(_check, one, ports), tries=TRIES)
    for number, one in enumerate(order.gateways):
        run.progress(0.1 + 0.9 * number / len(order.gateways), f"{one.name}: trying")
        run.wait(
            f"{one.name}: the site is reached by it",
            _Trying(order, one, ports).proven,
            # Until it has taken the former ones back, and is asked once more.
            seconds=3 * order.trial,
            every=ports.every,
            late=f"{one.name}: it is not reached, neither with the new files nor the former ones",
        )
    return {one.name: [change.path for change in one.changes] for one in order.gateways}


def _check(one: GatewayOrder, ports: RoutingPorts) -> None:
    ports.gateway(one.name).check(ports.trial(one.name))


class _Trying:
    """One gateway; each process begins anew with it, whatever became of it before."""

    def __init__(self, order: Order, one: GatewayOrder, ports: RoutingPorts) -> None:
        self._order, self._one, self._ports = order, one, ports
        self._others = [name for name in order.pair if name != one.name]
        self._moves = bool(self._others) and carried(c.path for c in one.changes)
        self._begun = self._asked = False
        self._lacks = "it was not asked yet"

    def proven(self) -> bool | None:
        """True once it is, and stays so; None while it is not; Failed when it was taken back."""
        gateway, trial = self._ports.gateway(self._one.name), self._ports.trial(self._one.name)
        if not self._begun:
            if self._moves and not self._stands_by(gateway):
                return None
            self._begun = True
            try:
                if not gateway.begin(trial, self._order.trial):
                    return True
            except Unreachable:
                self._begun = False
                raise
        return self._stays(gateway, trial)

    def _stands_by(self, gateway: Gateway) -> bool:
        """Whether it carries no packets; the other one is given them first. Of new gateways
        none does."""
        carries = gateway.carries(self._order.shared)
        if carries:
            gateway.hand_over()
        return not carries

    def _stays(self, gateway: Gateway, trial: Trial) -> bool | None:
        try:
            if not gateway.stands(trial):
                return None
            self._lacks = self._missing(gateway)
            return None if self._lacks else gateway.keep(trial)
        except Unreachable as error:
            self._lacks = f"no answer from it: {error.what}"
            raise
        except Failed as error:
            raise Failed(
                f"{error.what} (before: {self._lacks})" if self._lacks else error.what,
                where=error.where,
                mend="the site is as it was; correct the inventory, or what the gateway says in "
                "its journal, then the same command begins anew",
            ) from None

    def _missing(self, gateway: Gateway) -> str:
        """What is not yet as it must be; "" for nothing."""
        if stopped := gateway.stopped(units(self._one.wanted)):
            return f"{', '.join(stopped)} did not run"
        if self._moves and not gateway.carries(self._order.shared):
            if self._ask_for_it():
                return "no answer from it since it was given the site"
            return "it did not take the shared addresses"
        if silent := self._ports.silent(self._order.calls):
            return f"no answer from {_some(silent)}"
        return ""

    def _ask_for_it(self) -> bool:
        """Whether it is given the site now; once: a gateway that cannot take it would have it
        torn to and fro."""
        others = [] if self._asked else [self._ports.gateway(name) for name in self._others]
        for other in others:
            if other.carries(self._order.shared):
                other.hand_over()
                self._asked = True
                return True
        return False


def _some(found: Sequence[object]) -> str:
    shown = ", ".join(map(str, found[:4]))
    return shown if len(found) <= 4 else f"{shown} and {len(found) - 4} more"
