"""The engines of a gateway: asked there whether they would take files, and told to take them up.

Shell texts for metal.drivers.trial, which runs them on the gateway. Debian's units and tools.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from metal.drivers.engine_checks import CHECKERS, Checker

MESH_KEY = "/etc/wireguard/mesh.key"


@dataclass(frozen=True)
class Engine:
    """What is told when one of its files is another."""

    files: tuple[str, ...]
    """Absolute; it runs while the first is there."""
    unit: str = ""
    """Of systemd; "" for what is no service."""
    verb: str = "reload-or-restart"
    """How the unit takes its files up."""
    command: str = ""
    """Instead of that, where there is no unit."""
    carries: bool = True
    """Whether packets go by it: such a change is proven by who carries the site."""


ENGINES = (
    Engine(("/etc/sysctl.d/90-metal.conf",), command="sysctl -q -p /etc/sysctl.d/90-metal.conf"),
    Engine(("/etc/nftables.conf",), "nftables"),
    Engine(("/etc/network/interfaces.d/metal",), "networking", "restart"),
    Engine(("/etc/wireguard/mesh.conf",), "wg-quick@mesh", "restart"),
    Engine(("/etc/unbound/unbound.conf.d/metal.conf",), "unbound", "restart", carries=False),
    Engine(
        ("/etc/metal/dns64.conf", "/etc/systemd/system/metal-dns64.service"),
        "metal-dns64",
        "restart",
        carries=False,
    ),
    Engine(
        ("/etc/metal/tayga.conf", "/etc/systemd/system/metal-nat64.service"),
        "metal-nat64",
        "restart",
    ),
    Engine(("/etc/haproxy/haproxy.cfg",), "haproxy"),
    Engine(("/etc/radvd.conf",), "radvd", "restart", carries=False),
)
"""In the order in which they are told."""
KEEPALIVED = Engine(
    ("/etc/keepalived/keepalived.conf", "/etc/metal/alive"), "keepalived", "restart"
)
"""The last: it sets the routes into what the others made. Restarted, whoever carries the site
gives it to the other of the pair, which is what taking back is to do, too."""

FUNCTIONS = """\
failed=
take_up() {
    if [ -e "$1" ]; then
        systemctl enable -q "$2" && systemctl "$3" "$2" || failed="$failed $2"
    else
        systemctl disable -q --now "$2" 2>/dev/null || true
    fi
}
"""


def use_text(paths: Iterable[str]) -> str:
    """Makes a gateway use the files that are in place, after those at `paths` were changed."""
    changed = set(paths)
    lines = [FUNCTIONS, "systemctl daemon-reload"]
    for engine in (*ENGINES, KEEPALIVED):
        if not changed & set(engine.files) and not (engine is KEEPALIVED and carried(changed)):
            continue
        file = engine.files[0]
        if engine.unit:
            lines.append(f"take_up {file} {engine.unit} {engine.verb}")
        else:
            lines.append(f'[ ! -e {file} ] || {engine.command} || failed="$failed {file}"')
    lines.append('[ -z "$failed" ] || { echo "not taken up:$failed"; exit 1; }')
    return "\n".join(lines) + "\n"


def carried(paths: Iterable[str]) -> bool:
    """Whether packets go by any of these files."""
    carrying = {f for e in (*ENGINES, KEEPALIVED) if e.carries for f in e.files}
    return bool(carrying & set(paths))


def units(paths: Iterable[str]) -> tuple[str, ...]:
    """What is to run on a gateway that has these files."""
    there = set(paths)
    return tuple(e.unit for e in (*ENGINES, KEEPALIVED) if e.unit and e.files[0] in there)


CHECKING = """\
PATH=$PATH:/usr/sbin:/sbin
root=$1
fits() {
    path=$1 package=$2
    shift 2
    command -v "$1" >/dev/null || { echo "$1 is not installed: apt install $package"; exit 1; }
    said=$("$@" 2>&1) || { echo "$path: $said"; exit 1; }
}
was() {
    now=-
    [ ! -e "$1" ] || now=$(sha256sum <"$1")
    case "${now%% *}" in
    "$2" | "$3") ;;
    *) echo "$1 was changed meanwhile: look again"; exit 1 ;;
    esac
}
"""


def check_text(
    engines: Mapping[str, str], sums: Mapping[str, tuple[str, str]], *, key: bool
) -> str:
    """Ends badly where an engine has something against its file, or a file is not as it was seen.

    `engines`: absolute path → engine. `sums`: absolute path → SHA-256 before and after, "-" for
    no file. `key`: the mesh's private key must be there.
    """
    lines = [CHECKING]
    lines += [f"was {path} {before} {after}" for path, (before, after) in sums.items()]
    for path, engine in engines.items():
        if engine in CHECKERS:
            lines.append(_fits(path, CHECKERS[engine]))
    if key:
        lines.append(
            f'[ -s {MESH_KEY} ] || {{ echo "{MESH_KEY} is missing: '
            'metal network key makes it, and it is carried there"; exit 1; }'
        )
    return "\n".join(lines) + "\n"


def _fits(path: str, checker: Checker) -> str:
    """In a namespace of its own only what makes interfaces: the others are to see the real ones."""
    place = "ROOT" + path
    command = checker.command(checker.program, Path(place), "")
    words = shlex.join(["unshare", "-n", *command] if checker.makes else command)
    return f"fits {path} {checker.package} " + words.replace("ROOT/", '"$root"/')
