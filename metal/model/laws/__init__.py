"""The judge: is a plan lawful? It shares no code with the planners, on purpose.

What is judged is the state after the plan: the VMs of the world, moved and joined by what the
plan does. A breach is only reported where the plan has a part in it: a world that is unlawful
already must not forbid the plan that mends it (a recovery most of all).
"""

from datetime import date

from metal.model.fleet import Inventory
from metal.model.laws.addresses import address_laws
from metal.model.laws.after import After, look_ahead
from metal.model.laws.breach import Breach
from metal.model.laws.capacity import capacity_laws
from metal.model.laws.disks import disk_laws
from metal.model.laws.moves import move_laws
from metal.model.laws.order import known_names, order_laws
from metal.model.laws.servers import server_laws
from metal.model.laws.steps import step_laws
from metal.model.laws.survival import survival_laws
from metal.model.laws.terms import term_laws
from metal.model.plan import Plan
from metal.model.world import World

__all__ = ["After", "Breach", "judge"]

LAWS = (
    server_laws,
    move_laws,
    address_laws,
    capacity_laws,
    disk_laws,
    survival_laws,
    step_laws,
    term_laws,
)


def judge(
    plan: Plan, inventory: Inventory, world: World, today: date | None = None
) -> list[Breach]:
    """Every law the plan breaks, all at once; empty means lawful.

    A plan that names what does not exist is judged no further: the other laws would guess.
    """
    breaches = [*order_laws(plan), *known_names(plan, inventory, world)]
    if any(b.law == "known" for b in breaches):
        return breaches
    after = look_ahead(plan, inventory, world, today)
    for laws in LAWS:
        breaches += laws(after)
    return breaches
