"""Proofs and what-ifs for the faces: pure functions of (inventory, world)."""

from typing import Literal

from metal.model.certificate import Certificate, Failure
from metal.model.errors import BadInput
from metal.model.fleet import Inventory
from metal.model.plan import Plan
from metal.model.world import World
from metal.schedule.after import carried_out
from metal.schedule.prove import prove
from metal.schedule.roomleft import Left, room_left
from metal.schedule.withdraw import Relocation, relocate


def proof_of(inventory: Inventory, world: World, plan: Plan) -> Certificate:
    """The certificate of the world as it is once the plan was carried out."""
    return prove(inventory, carried_out(inventory, world, plan))


def what_is_lost(inventory: Inventory, name: str) -> Literal["server", "site"]:
    """Which of the two a name is; BadInput for neither. A server's name wins."""
    if name in inventory.servers:
        return "server"
    if name in inventory.sites:
        return "site"
    known = ", ".join((*inventory.sites, *inventory.servers))
    raise BadInput("no such server or site", where=name, mend=f"the inventory has {known}")


def server_lost(inventory: Inventory, world: World, server: str) -> Failure:
    """What becomes of the VMs of one server."""
    cluster = inventory.cluster_of(server)
    proven = prove(inventory, world, [cluster] if cluster else []).clusters.get(cluster or "")
    if proven is None or server not in proven.failures:
        why = "it is not online in a formed cluster: nothing is known to run there"
        return Failure(verdict="unknown", why=why)
    return proven.failures[server]


def site_lost(inventory: Inventory, world: World, site: str) -> Relocation:
    return relocate(inventory, world, site)


def capacity_of(
    inventory: Inventory, world: World, size: str | None
) -> dict[str, tuple[Left, ...]]:
    """Size → what each cluster still takes of it; of all sizes when None."""
    if size is not None and size not in inventory.sizes:
        known = ", ".join(inventory.sizes)
        raise BadInput("no such size", where=size, mend=f"profiles/vms.toml has {known}")
    wanted = [size] if size else list(inventory.sizes)
    return {name: room_left(inventory, world, inventory.sizes[name]) for name in wanted}
