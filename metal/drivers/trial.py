"""A dead man's switch: files of a server are tried, and taken back unless somebody confirms them.

For what may cut the very line that it is changed over: a host's network, a gateway's filter. In
this order, each a connection of its own:

1. `begin`: the files are checked where they are to be used, what is there is kept beside them, a
   timer of the server's own is set, and only then are they put in place and taken into use;
2. whoever changed them proves from outside that all is well;
3. `keep`: they stay, and the timer goes. `withdraw`: the old ones are back at once.

Whatever dies meanwhile, the line, metal or the server's power, what nobody confirmed does not
last: the timer takes it back, and after a power cut a unit that is done before the network is.
Nothing of it needs metal, Python or the network; all of it is in /var/lib/metal/trials/NAME.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from metal.drivers.commands import Runner, must
from metal.model.errors import Failed, Refused

SOON = 15.0
"""Seconds for a question about a trial. What is tried may cut the line in the midst of one, and a
connection that lost packets then stays silent long after the line is back: a new one is not."""
SWITCH = r"""# metal: dead man's switch. $1: begin, stands, keep, withdraw, use, back, boot
set -eu
umask 077
name=$2
unit=metal-trial-$name
home=/var/lib/metal/trials/$name
mkdir -p "$home"
cd "$home"

# One at a time; what it starts does not hold the lock.
alone() {
    exec 9>lock
    flock 9
}

# Every file at its place is the one in $1, or gone where that has none. Each is whole at any time.
put() {
    while read -r path; do
        part=${path%/*}/.metal-${path##*/}
        if [ -e "$1/tree$path" ]; then
            mkdir -p -m 755 "${path%/*}"
            cp -p "$1/tree$path" "$part"
            mv "$part" "$path"
        else
            rm -f "$path"
        fi
    done <"$1/paths"
    sync
}

is_there() {
    while read -r path; do
        if [ -e "$1/tree$path" ]; then
            cmp -s "$1/tree$path" "$path" || return 1
        elif [ -e "$path" ]; then
            return 1
        fi
    done <"$1/paths"
}

# What is there now becomes the way back: all of it, or there is none.
remember() {
    rm -rf new
    mkdir new
    cp offer/paths offer/use offer/mark new
    while read -r path; do
        [ -e "$path" ] || continue
        mkdir -p "new/tree${path%/*}"
        cp -p "$path" "new/tree$path"
    done <offer/paths
    sync
    mv new before
}

# Whoever renames it has decided: a confirmation and the timer cannot both win.
put_back() {
    [ ! -d before ] || mv before back
    [ ! -d back ] || put back
}

forget_back() {
    [ ! -d back ] || mv back gone
    rm -rf gone
}

guard_its_start() {
    cat >"/etc/systemd/system/$unit-boot.service" <<END
[Unit]
Description=Take back what metal tried as $name and nobody confirmed
ConditionPathExists=|$home/before
ConditionPathExists=|$home/back
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target network-pre.target networking.service nftables.service

[Service]
Type=oneshot
ExecStart=/bin/sh $home/switch boot $name

[Install]
WantedBy=sysinit.target
END
    systemctl daemon-reload
    systemctl enable -q "$unit-boot.service"
}

guard_no_more() {
    systemctl disable -q "$unit-boot.service"
    rm -f "/etc/systemd/system/$unit-boot.service"
}

# Without its accuracy a timer may be a minute late.
later() {
    systemd-run -q --collect --timer-property AccuracySec=100ms --on-active "$1" --unit "$2" \
        sh "$home/switch" "$3" "$name"
}

stop() {
    systemctl stop "$@" 2>/dev/null || true
}

begin() {
    rm -rf offer
    mkdir -p offer/tree
    tar -x -p -C offer
    if ! sh offer/check "$home/offer/tree" >said 2>&1; then
        echo unfit
        tail -n 8 said
        return
    fi
    fresh=
    if [ -d before ] || [ -d back ]; then
        fresh=1
        stop "$unit-back.timer" "$unit-back.service" "$unit.timer" "$unit.service"
        put_back
        forget_back
    fi
    if [ -z "$fresh" ] && is_there offer; then
        echo same
        return
    fi
    cp offer/switch switch
    guard_its_start
    remember
    rm -f used kept
    later "$1" "$unit-back" back
    put offer
    # Later, so that this line is answered: it may be cut by what follows.
    later 1 "$unit" use
    echo trying
}

# What became of the trial of mark $1: soon in use, unfit, stands unconfirmed, kept, or back.
state() {
    if [ ! -d before ] || [ "$(cat before/mark)" != "$1" ]; then
        if [ ! -d before ] && [ ! -d back ] && [ "$(cat kept 2>/dev/null)" = "$1" ]; then
            echo kept
        else
            echo back
        fi
    elif [ ! -s used ]; then
        echo soon
    elif [ "$(cat used)" != 0 ]; then
        echo unfit
    else
        echo stands
    fi
}

stands() {
    state=$(state "$1")
    echo "$state"
    if [ "$state" = unfit ]; then
        tail -n 8 said
        withdraw
    fi
}

keep() {
    if [ "$(state "$1")" != stands ]; then
        stands "$1"
        return
    fi
    rm -rf gone
    mv before gone
    sync
    echo "$1" >kept
    stop "$unit-back.timer"
    rm -rf gone
    guard_no_more
    echo kept
}

# By the unit that the timer would start: what follows may cut the line.
withdraw() {
    [ ! -d before ] || systemctl start --no-block "$unit-back.service"
}

# Whoever has waited for the lock may find that it was all taken back meanwhile.
use() {
    [ -d before ] || return 0
    code=0
    sh before/use >said 2>&1 9>&- || code=$?
    echo "$code" >used
}

case "$1" in
begin) alone; begin "$3" ;;
stands) alone; stands "$3" ;;
keep) alone; keep "$3" ;;
withdraw) alone; withdraw ;;
use) alone; use ;;
back)
    stop "$unit.timer" "$unit.service"
    alone
    put_back
    [ ! -d back ] || sh back/use 9>&- || true
    forget_back
    guard_no_more
    ;;
boot)
    put_back
    forget_back
    ;;
esac
"""


@dataclass(frozen=True)
class File:
    """What a file of root's is to be."""

    text: str
    mode: int = 0o644


@dataclass(frozen=True)
class Trial:
    """Files that are tried together."""

    name: str
    """Of letters, digits and dashes: a server has one trial of a name at a time."""
    files: Mapping[str, File | None]
    """Absolute path → what it is to be; None: there must be none."""
    check: str
    """A shell text that ends with another code than 0, having said why, where the files are unfit.
    $1 is a folder in which they lie by their whole paths; it must change nothing."""
    use: str
    """A shell text that makes the server use the files that are in place, whichever these are."""
    mend: str = "look at it by its console"
    """What somebody is to do where it was not reached in time."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9-]+", self.name):
            raise ValueError(f"{self.name!r} is no name of a trial")

    @cached_property
    def parcel(self) -> bytes:
        """All of it as a tar; the same of the same."""
        plain = "".join(f"{path}\n" for path in self.files)
        parts = {"switch": File(SWITCH), "check": File(self.check), "use": File(self.use)}
        parts |= {"paths": File(plain), "mark": File(f"{self.mark}\n")}
        parts |= {f"tree{path}": file for path, file in self.files.items() if file}
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name, file in parts.items():
                content = file.text.encode()
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), file.mode
                tar.addfile(entry, io.BytesIO(content))
        return packed.getvalue()

    @cached_property
    def mark(self) -> str:
        """Tells it from every other trial."""
        return hashlib.sha256(repr((sorted(self.files.items()), self.use)).encode()).hexdigest()


class DeadMansSwitch:
    """On one server, as root. Every call may be repeated."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def begin(self, trial: Trial, seconds: float) -> bool:
        """Whether the files are others than before, and tried now; after `seconds` the old ones
        are back. Refused, with what the check said, where they are unfit: nothing was changed.
        """
        state, said = self._tell(trial, "begin", str(round(seconds)), stdin=trial.parcel, within=60)
        if state == "unfit":
            raise Refused(
                f"it has no use for that: {said}",
                where=self._runner.where,
                mend="correct what the inventory says of it; nothing was changed there",
            )
        return state == "trying"

    def stands(self, trial: Trial) -> bool | None:
        """True: in use, and not taken back yet. None: not in use yet. Failed as `keep` is."""
        return self._state(trial, "stands") in ("stands", "kept") or None

    def keep(self, trial: Trial) -> bool | None:
        """True: they stay. None: not in use yet, ask again. Failed: the old ones are back, or
        soon will be, because the time was over or what takes them into use failed."""
        return self._state(trial, "keep") == "kept" or None

    def _state(self, trial: Trial, verb: str) -> str:
        state, said = self._tell(trial, verb, trial.mark)
        if state == "unfit":
            raise Failed(
                f"what takes it into use failed, and the old one is taken back: {said}",
                where=self._runner.where,
                mend=f"the whole of what was said is there in /var/lib/metal/trials/{trial.name}",
            )
        if state == "back":
            raise Failed(
                "it was not reached in time, and has taken the old one back",
                where=self._runner.where,
                mend=trial.mend,
            )
        return state

    def withdraw(self, trial: Trial) -> None:
        """The old files are taken into use again at once, if nobody has confirmed the new ones."""
        self._tell(trial, "withdraw")

    def _tell(
        self, trial: Trial, *words: str, stdin: bytes = b"", within: float = SOON
    ) -> tuple[str, str]:
        verb, *rest = words
        argv = ("sh", "-c", SWITCH, "_", verb, trial.name, *rest)
        what = "it could not be tried"
        out = must(self._runner, argv, stdin=stdin, what=what, timeout=within)
        state, _, said = out.decode(errors="replace").strip().partition("\n")
        return state, " / ".join(line.strip() for line in said.splitlines())
