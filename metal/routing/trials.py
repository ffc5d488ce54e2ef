"""The files of one gateway, to be tried together by its dead man's switch."""

from metal.drivers.gateway_engines import check_text, use_text
from metal.drivers.trial import File, Trial
from metal.network.tree import FOR_ALL, FOR_EACH
from metal.routing.order import FORMER, Order, digest

NAME = "gateway"
MESH = "/etc/wireguard/mesh.conf"
MODES = {"/etc/nftables.conf": 0o755, MESH: 0o600}
JUDGES = {f"/{path}": engine for path, (engine, _) in {**FOR_ALL, **FOR_EACH}.items()}


def trial_of(order: Order, name: str) -> Trial:
    (one,) = (one for one in order.gateways if one.name == name)
    sums = {c.path: (_sum(c.before), _sum(c.after)) for c in one.changes}
    engines = {c.path: JUDGES.get(c.path, "") for c in one.changes if c.after is not None}
    return Trial(
        name=NAME,
        files={path: _file(path, text) for path, text in one.files.items()},
        check=check_text(engines, sums, key=MESH in one.wanted),
        use=use_text(c.path for c in one.changes),
    )


def _file(path: str, text: str | None) -> File | None:
    return None if text is None else File(text, MODES.get(path.removeprefix(FORMER), 0o644))


def _sum(text: str | None) -> str:
    return "-" if text is None else digest(text)
