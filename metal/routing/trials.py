"""The files of a gateway or a name server, to be tried together by its dead man's switch."""

from collections.abc import Iterable

from metal.drivers.gateway_engines import check_text, use_text
from metal.drivers.name_server import check_text as check_names
from metal.drivers.name_server import use_text as use_names
from metal.drivers.trial import File, Trial
from metal.network.tree import FOR_ALL, FOR_EACH
from metal.routing.order import FORMER, FileChange, GatewayOrder, NamesOrder, Order, digest

NAME = "gateway"
NAMES = "names"
MESH = "/etc/wireguard/mesh.conf"
MODES = {"/etc/nftables.conf": 0o755, MESH: 0o600}
JUDGES = {f"/{path}": engine for path, (engine, _) in {**FOR_ALL, **FOR_EACH}.items()}


def trial_of(order: Order, name: str) -> Trial:
    (one,) = (one for one in order.gateways if one.name == name)
    engines = {c.path: JUDGES.get(c.path, "") for c in one.changes if c.after is not None}
    return Trial(
        name=NAME,
        files=_files(one),
        check=check_text(engines, _sums(one.changes), key=MESH in one.wanted),
        use=use_text(c.path for c in one.changes),
    )


def trial_of_names(order: NamesOrder, one: GatewayOrder) -> Trial:
    gone = [c.path for c in one.changes if c.after is None]
    return Trial(
        name=NAMES,
        files=_files(one),
        check=check_names(list(order.serials), gone, _sums(one.changes)),
        use=use_names(),
        mend="look at it there: `journalctl -u named`",
    )


def _sums(found: Iterable[FileChange]) -> dict[str, tuple[str, str]]:
    return {c.path: (_sum(c.before), _sum(c.after)) for c in found}


def _files(one: GatewayOrder) -> dict[str, File | None]:
    return {path: _file(path, text) for path, text in one.files.items()}


def _file(path: str, text: str | None) -> File | None:
    return None if text is None else File(text, MODES.get(path.removeprefix(FORMER), 0o644))


def _sum(text: str | None) -> str:
    return "-" if text is None else digest(text)
