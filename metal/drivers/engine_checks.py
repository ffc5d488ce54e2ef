"""The network's engines asked whether they would take a file: each by its own tool.

The tools want interfaces that only a gateway has, so they run in a network namespace of their
own, where veth pairs stand for them. Nothing outside of it is touched, and it goes with the tool.
"""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metal.drivers.commands import Here
from metal.model.errors import Refused

SECONDS = 60
INTERFACE = re.compile(
    r"\bdev ([a-z][a-z0-9._-]*)|^\s*(?:interface|iface|auto) ([a-z][\w.-]*)", re.M
)
WIREGUARD = """\
set -e
stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
"$0" strip "$1" > "$stripped"
wg setconf '' "$stripped" 2>&1 | grep -B 1 'parsing error' || exit 0
exit 1
"""
"""wg reads the whole file before it looks for the interface, which there is none of."""
Command = list[str]


@dataclass(frozen=True)
class Checker:
    """How one engine tells whether a file is right."""

    program: str
    package: str
    command: Callable[[str, Path, str], Command]
    """(program, file, zone) → what to run; it ends with 0 if the file is right."""
    apart: bool = False
    """In a network namespace of its own."""
    interfaces: bool = False
    """With stand-ins for the interfaces that the file names."""
    makes: bool = False
    """It makes interfaces: nowhere but apart."""


CHECKERS = {
    "nft": Checker("nft", "nftables", lambda p, f, _: [p, "-c", "-f", str(f)], apart=True),
    "haproxy": Checker("haproxy", "haproxy", lambda p, f, _: [p, "-c", "-q", "-f", str(f)]),
    "keepalived": Checker(
        "keepalived",
        "keepalived",
        lambda p, f, _: [p, "-t", "-f", str(f)],
        apart=True,
        interfaces=True,
    ),
    "radvd": Checker("radvd", "radvd", lambda p, f, _: [p, "-c", "-C", str(f)]),
    "unbound": Checker("unbound-checkconf", "unbound", lambda p, f, _: [p, str(f)]),
    "zone": Checker("named-checkzone", "bind9-utils", lambda p, f, zone: [p, "-q", zone, str(f)]),
    "named": Checker("named-checkconf", "bind9-utils", lambda p, f, _: [p, str(f)]),
    "wireguard": Checker(
        "wg-quick", "wireguard-tools", lambda p, f, _: ["sh", "-c", WIREGUARD, p, str(f)]
    ),
    "tayga": Checker(
        "tayga",
        "tayga",
        lambda p, f, _: [p, "--mktun", "--config", str(f)],
        apart=True,
        makes=True,
    ),
    "ifupdown": Checker(
        "ifup", "ifupdown", lambda p, f, _: [p, "--no-act", "--force", "-a", "-i", str(f)]
    ),
}


def check(engine: str, file: Path, zone: str = "") -> str:
    """What the engine has against the file, in its own words; "" for nothing.

    Refused when the tool is not installed, or may not have a namespace.
    """
    checker = CHECKERS[engine]
    command = checker.command(_program(checker), file, zone)
    if checker.apart:
        command = _apart(command, _interfaces(file) if checker.interfaces else [])
    done = Here().run(command, timeout=SECONDS)
    if done.code == 0:
        return ""
    said = [line for line in (done.err + done.out.decode()).splitlines() if line.strip()]
    return "\n".join(said) or f"{checker.program} ended with {done.code}"


def _program(checker: Checker) -> str:
    found = shutil.which(checker.program) or shutil.which(checker.program, path="/usr/sbin:/sbin")
    if found is None:
        raise Refused(
            f"{checker.program} is not installed here: nobody can judge the file",
            mend=f"apt install {checker.package}",
        )
    return found


def _interfaces(file: Path) -> list[str]:
    found = INTERFACE.findall(file.read_text(encoding="utf-8"))
    return sorted({one or other for one, other in found})


def _apart(command: Command, interfaces: list[str]) -> Command:
    """The command in a namespace with these interfaces; root of its own where we are none."""
    made = [f"ip link add {name} type veth peer name x{n}" for n, name in enumerate(interfaces)]
    script = " && ".join([*made, 'exec "$@"'])
    unshare = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    whole = [*unshare, "sh", "-c", script, "sh"]
    if Here().run([*whole, "true"]).code:
        raise Refused(
            "no network namespace may be made here (unshare -n): nobody can judge the file",
            mend="run it as root",
        )
    return [*whole, *command]
