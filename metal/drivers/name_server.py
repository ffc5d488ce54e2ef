"""BIND on a name server: asked there whether it would take files, told to, and what it answers.

Shell texts for metal.drivers.trial, and a Runner's questions. Debian's paths and tools.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence

from metal.drivers.commands import must
from metal.drivers.gateway import Gateway
from metal.drivers.gateway_engines import CHECKING
from metal.drivers.trial import SOON

FOLDER = "/etc/bind/metal"
WHOLE = """\
# All of /etc/bind as it would be, seen by nobody else; named-checkconf reads it where it belongs.
would=$(mktemp -d)
trap 'rm -rf "$would"' EXIT
cp -a /etc/bind/. "$would"
cp -a "$root/etc/bind/." "$would"
chmod 755 "$would"
would_be() { unshare -m sh -c 'mount --bind "$0" /etc/bind && exec "$@"' "$would" "$@" 2>&1; }
"""
JUDGED = """\
said=$(would_be named-checkconf -z) || {
    echo "$said" | grep -v ': loaded serial'
    exit 1
}
listed=$(would_be named-checkconf -l)
lists() {
    echo "$listed" | awk -v zone="$1" 'tolower($1) == zone { found = 1 } END { exit !found }' || {
        echo "its named.conf does not read @FOLDER/named.conf.metal: add to"
        echo '/etc/bind/named.conf.local: include "@FOLDER/named.conf.metal";'
        exit 1
    }
}
""".replace("@FOLDER", FOLDER)
SERIALS = """\
# metal: each zone of these that is loaded, and its serial
PATH=$PATH:/usr/sbin
for zone; do
    serial=$(rndc zonestatus "$zone" 2>/dev/null | sed -n 's/^serial: //p')
    [ -z "$serial" ] || echo "$zone $serial"
done
"""


class NameServer(Gateway):
    """As a gateway is: its files, and the dead man's switch over them."""

    def serials(self, zones: Sequence[str]) -> dict[str, int]:
        """Zone → what it answers with, of those that are loaded."""
        out = must(self._runner, ("sh", "-c", SERIALS, "_", *zones), timeout=SOON)
        pairs = (line.split() for line in out.decode().splitlines())
        return {zone: int(serial) for zone, serial in pairs}


def check_text(
    zones: Iterable[str], gone: Iterable[str], sums: Mapping[str, tuple[str, str]]
) -> str:
    """Ends badly where BIND would not load all that it is told of, or a file is not as it was seen.

    `gone`: paths that are removed. `sums`: as of metal.drivers.gateway_engines.check_text.
    """
    lines = [CHECKING, _has("named-checkconf", "bind9-utils"), _has("rndc", "bind9")]
    lines += [f"was {path} {before} {after}" for path, (before, after) in sums.items()]
    lines.append('rndc status >/dev/null 2>&1 || { echo "named does not answer rndc"; exit 1; }')
    lines.append(WHOLE)
    lines += [f'rm -f "$would"{shlex.quote(path.removeprefix("/etc/bind"))}' for path in gone]
    lines.append(JUDGED)
    lines += [f"lists {shlex.quote(zone.lower())}" for zone in zones]
    return "\n".join(lines) + "\n"


def use_text() -> str:
    """Touched, as named passes over files that are older than what it loaded: those that a trial
    puts back are."""
    return f"PATH=$PATH:/usr/sbin\ntouch -c {FOLDER}/db.* {FOLDER}/named.conf.metal\nrndc reload\n"


def _has(program: str, package: str) -> str:
    missing = f'echo "{program} is not installed: apt install {package}"'
    return f"command -v {program} >/dev/null || {{ {missing}; exit 1; }}"
