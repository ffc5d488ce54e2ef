"""Create a cluster and join nodes to it, one at a time.

What the API really does is measured: straight after create there is no quorum yet, it answers
401 for seconds during create and join, the joining node's ticket is dead afterwards and its
certificate may be a new one, and a 200 with a UPID is no success.
"""

from collections.abc import Callable, Sequence
from typing import Any

from metal.drivers.proxmox.api import Api, Standing
from metal.drivers.proxmox.node import ApiError, LoginRefused, Node
from metal.model.errors import BadInput, Failed, MetalError, Refused, Unreachable

NAME_LIMIT = 15
CLOCKS_APART = 10
"""Seconds between two answers that were asked for one after the other: more is a wrong clock."""
UNSETTLED = (Unreachable, LoginRefused, ApiError)
"""What a node that is just being reconfigured answers."""


def ensure_created(api: Api, name: str, node: Node, links: Sequence[str] = ()) -> None:
    """`links`: the node's addresses on corosync's networks, the best first."""
    if len(name) > NAME_LIMIT:
        raise BadInput(
            f"a cluster's name has at most {NAME_LIMIT} characters, {name!r} has {len(name)}",
            where=node.name,
            mend="give it a shorter one in inventory.toml",
        )
    if _standing(api, node).name is None:
        _nobody_else_has_one(api, node)
        _write(
            api,
            node,
            "cluster/config",
            {"clustername": name, **_numbered(links)},
            lambda: _is_in(node),
        )
    standing = _standing(api, node)
    if standing.name != name:
        raise Refused(
            f"it is in the cluster {standing.name!r} already, not in {name!r}",
            where=node.name,
            mend=_way_out(node, standing.name),
        )
    wait_quorate(api, node, node.name)
    api.forget()


def ensure_joined(
    api: Api,
    node: Node,
    through: Node,
    repinned: Callable[[str, str], None],
    links: Sequence[str] = (),
) -> None:
    wait_quorate(api, through, through.name)
    cluster = _standing(api, through)
    if cluster.name is None:
        raise Failed("there is no cluster to join yet", where=through.name, mend="create it first")
    if node.name not in cluster.nodes:
        own = _standing(api, node)
        if own.name is not None and own.name != cluster.name:
            raise Refused(
                f"it is in the cluster {own.name!r} already",
                where=node.name,
                mend=_way_out(node, own.name),
            )
        _can_join(node, through)
        _write(
            api,
            node,
            "cluster/config/join",
            {
                "hostname": through.access.address,
                "password": through.password(),
                "fingerprint": _proven_fingerprint(through),
                **_numbered(links),
            },
            lambda: node.name in Standing.of(through).nodes,
        )
    wait_quorate(api, through, node.name)
    _follow_certificate(api, node, through, repinned)
    node.joined()
    # Its own API must be back as well: the next call may be for it alone.
    wait_quorate(api, node, node.name)
    api.forget()


def _numbered(links: Sequence[str]) -> dict[str, str]:
    """corosync takes the first that works: of equal priority, the lowest number."""
    return {f"link{number}": address for number, address in enumerate(links)}


def _way_out(node: Node, cluster: str | None) -> str:
    return (
        f"to keep {cluster!r}: `metal cluster adopt https://{node.access.address}:"
        f"{node.access.port}`. To take the server out of it: move its VMs away, switch it off, "
        f"`pvecm delnode {node.name}` on another node of {cluster!r}, and install it anew before "
        "it is switched on in that network again"
    )


def _can_join(node: Node, through: Node) -> None:
    """What Proxmox would refuse in a task that fails later, or not refuse at all."""
    try:
        guests = [str(row["vmid"]) for row in node.get("cluster/resources", type="vm")]
        apart = _clock(node) - _clock(through)
    except UNSETTLED:
        return  # a join that was begun before is under way: it is waited for
    if guests:
        raise Refused(
            f"it has guests ({', '.join(guests)}), and joining would take them away from it",
            where=node.name,
            mend="back each up (vzdump ID), remove it (qm destroy ID), join, and restore it "
            "(qmrestore)",
        )
    if abs(apart) > CLOCKS_APART:
        raise Refused(
            f"its clock is {abs(apart)} s {'ahead of' if apart > 0 else 'behind'} {through.name}'s",
            where=node.name,
            mend="set it (chronyc makestep) and see that it keeps time: tickets, Ceph's monitors "
            "and certificates all fail on a wrong clock",
        )


def _clock(node: Node) -> int:
    return int(node.get(f"nodes/{node.name}/time")["time"])


def wait_quorate(api: Api, through: Node, member: str) -> None:
    """Until `member` is online and the cluster quorate, as `through` sees it."""

    def ready() -> bool:
        standing = Standing.of(through)
        return standing.quorate and standing.nodes.get(member, False)

    api.patience.until(
        ready,
        seconds=api.patience.quorum,
        late=f"{member} is not online in a quorate cluster",
        where=through.name,
        tolerate=UNSETTLED,
    )


def _standing(api: Api, node: Node) -> Standing:
    """The standing of a node that may be restarting its API this moment."""
    found: list[Standing] = []
    api.patience.until(
        lambda: not found.append(Standing.of(node)),  # type: ignore[func-returns-value]
        seconds=api.patience.lock,
        late="its API does not answer",
        where=node.name,
        tolerate=UNSETTLED,
    )
    return found[-1]


def _is_in(node: Node) -> bool:
    return Standing.of(node).name is not None


def _nobody_else_has_one(api: Api, node: Node) -> None:
    """Two clusters of one entry could never be merged: every node must say it has none."""
    for other in api.nodes.values():
        if other is not node and (found := _standing(api, other)).name is not None:
            raise Refused(
                f"{other.name} is in the cluster {found.name!r} already",
                where=node.name,
                mend="plan again: the cluster is then taken on from that node",
            )


def _proven_fingerprint(through: Node) -> str:
    """What the joining node must see: said by the API, and equal to what we pinned ourselves."""
    info = through.get("cluster/config/join", node=through.name)
    told = next((n["pve_fp"] for n in info["nodelist"] if n["name"] == through.name), "")
    if told.upper() != through.access.pin.upper():
        raise Refused(
            f"its join information names the certificate {told or '(none)'}, pinned is another",
            where=through.name,
            mend="find out who changed its certificate before anything joins it",
        )
    return str(told)


def _write(
    api: Api, node: Node, path: str, params: dict[str, Any], done: Callable[[], bool]
) -> None:
    """Post a reconfiguration and wait for its effect; its own task may become unreadable."""

    def write() -> None:
        upid = str(node.post(path, params))
        try:
            api.follow(upid, node)
        except (Unreachable, Refused, ApiError):
            # Not the task's failure but ours to read it: the effect tells.
            api.patience.until(
                done,
                seconds=api.patience.quorum,
                late=f"no effect of {path} is seen",
                where=node.name,
                tolerate=UNSETTLED,
            )

    api.settle(lambda: _quietly(done), write, late=f"no effect of {path} is seen on {node.name}")


def _quietly(done: Callable[[], bool]) -> bool:
    try:
        return done()
    except UNSETTLED:
        return False


def _follow_certificate(
    api: Api, node: Node, through: Node, repinned: Callable[[str, str], None]
) -> None:
    """A join may give the node a certificate of the cluster's: its members vouch for it."""
    shown = _vouched(through, node.name)
    if shown and shown != node.access.pin.upper():
        node.repin(shown)
        repinned(node.name, shown)


def certificate_of(api: Api, name: str) -> tuple[str, str]:
    """(the node that tells, the fingerprint that its cluster has of node `name`)."""
    through = api.node()
    return through.name, _vouched(through, name)


def _vouched(through: Node, name: str) -> str:
    try:
        rows = through.get("nodes")
    except MetalError:
        return ""
    row = next((r for r in rows if r["node"] == name), None)
    return str((row or {}).get("ssl_fingerprint") or "").upper()
