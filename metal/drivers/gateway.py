"""A gateway, as root through a Runner: its files, its engines, who of the pair carries the site."""

import io
import tarfile
from collections.abc import Sequence

from metal.drivers.commands import Runner, must
from metal.drivers.trial import SOON, DeadMansSwitch, Trial
from metal.model.errors import Refused

LOOK = """\
# metal: the files that are there, as a tar. $1: a list of more; $2: a folder; then paths
list=$1 folder=$2
shift 2
{
    printf '%s\\n' "$list" "$@"
    [ ! -e "$list" ] || sed 's/^[^ ]*  //' "$list"
    [ ! -d "$folder" ] || find "$folder" -type f
} | sort -u | while read -r path; do
    [ ! -f "$path" ] || printf '%s\\n' "${path#/}"
done | tar -c -h -C / -T -
"""
PACKAGED = """\
# metal: the configuration files that are as their packages brought them
dpkg-query -W -f '${Conffiles}\\n' 2>/dev/null | while read -r path sum rest; do
    case " $* " in
    *" $path "*) echo "$sum  $path" | md5sum -c --status 2>/dev/null && echo "$path" ;;
    esac
done
true
"""
CARRIES = """\
# metal: whether it has the address $1
ip -o address show | awk -v wanted="$1" \\
    '{ split($4, at, "/"); if (at[1] == wanted) found = 1 } END { print found + 0 }'
"""
STOPPED = """\
# metal: which of these units do not run
for unit; do
    systemctl is-active -q "$unit" || echo "$unit"
done
"""
TRYING = """\
# metal: something of the trial $1, while it is not at its end
ls -d "/var/lib/metal/trials/$1/before" "/var/lib/metal/trials/$1/back" 2>/dev/null || true
"""
CHECK = """\
# metal: whether what is on stdin would do; nothing is changed
set -e
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
tar -x -p -C "$place"
sh "$place/check" "$place/tree" 2>&1
"""


class Gateway:
    """metal.routing.ports.Gateway. Every call may be repeated."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._switch = DeadMansSwitch(runner)

    def files(self, manifest: str, folder: str, paths: Sequence[str]) -> dict[str, str]:
        """Path → text, of `paths`, the manifest, what it lists, and all in `folder`."""
        packed = self._run("sh", "-c", LOOK, "_", manifest, folder, *paths)
        found: dict[str, str] = {}
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            for entry in tar:
                if (content := tar.extractfile(entry)) is not None:
                    found[f"/{entry.name}"] = self._text(entry.name, content.read())
        return found

    def refuse_while_trying(self, name: str) -> None:
        """What is there now may be gone in a minute: no plan is made of it."""
        if self._run("sh", "-c", TRYING, "_", name):
            raise Refused(
                "it tries files that nobody has confirmed, and takes them back in a while",
                where=self._runner.where,
                mend="wait a minute or two, then again",
            )

    def packaged(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Those of `paths` that are as Debian's packages brought them."""
        return tuple(self._run("sh", "-c", PACKAGED, "_", *paths).decode().split())

    def carries(self, address: str) -> bool:
        return self._run("sh", "-c", CARRIES, "_", address, within=SOON).strip() == b"1"

    def stopped(self, units: Sequence[str]) -> tuple[str, ...]:
        """Those of `units` that do not run."""
        return tuple(self._run("sh", "-c", STOPPED, "_", *units, within=SOON).decode().split())

    def hand_over(self) -> None:
        """The other of the pair carries the site, if it can."""
        self._run("systemctl", "restart", "keepalived", within=SOON)

    def check(self, trial: Trial) -> None:
        """Refused, with what an engine says, where the files are unfit."""
        done = self._runner.run(("sh", "-c", CHECK), stdin=trial.parcel, timeout=120)
        if done.code:
            lines = done.out.decode(errors="replace").splitlines() or [done.said]
            raise Refused(
                " / ".join(line.strip() for line in lines[-8:]),
                where=self._runner.where,
                mend="nothing was changed at any gateway of the site",
            )

    def begin(self, trial: Trial, seconds: float) -> bool:
        return self._switch.begin(trial, seconds)

    def stands(self, trial: Trial) -> bool | None:
        return self._switch.stands(trial)

    def keep(self, trial: Trial) -> bool | None:
        return self._switch.keep(trial)

    def _text(self, name: str, content: bytes) -> str:
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise Refused(
                f"/{name} is no text, and metal writes one there",
                where=self._runner.where,
                mend="look at it there, and move it away",
            ) from None

    def _run(self, *argv: str, within: float = 60.0) -> bytes:
        return must(self._runner, argv, timeout=within)
