"""Root's shell on a Debian that is to become a Proxmox VE host.

A part of the script runs as a unit of the server's own systemd: it goes on when the line is cut,
and who asks again hears how far it is.
"""

import re

from metal.drivers.commands import Runner, must
from metal.model.errors import Failed, Unreachable

RUN_PART = """\
# metal: part $1 of the script on stdin; $2: anew, also where it failed
set -e
umask 077
mkdir -p /var/lib/metal
cd /var/lib/metal
cat >proxmox.sh.new
if systemctl is-active -q "metal-$1.service"; then echo running; exit; fi
if [ -s "$1.code" ] && cmp -s proxmox.sh.new proxmox.sh; then
    code=$(cat "$1.code")
    if [ "$code" = 0 ]; then echo done; exit; fi
    if [ "$2" != anew ]; then echo "failed $code"; tail -n 8 "$1.log"; exit; fi
fi
mv proxmox.sh.new proxmox.sh
rm -f "$1.code"
systemd-run -q --collect --unit "metal-$1" --working-directory /var/lib/metal \\
    sh -c 'sh proxmox.sh "$1" >"$1.log" 2>&1; echo $? >"$1.code"' _ "$1"
echo begun
"""
BOOT = "/proc/sys/kernel/random/boot_id"
CERTIFICATE = """\
for kind in pveproxy-ssl pve-ssl; do
    if [ -s "/etc/pve/local/$kind.pem" ]; then
        exec openssl x509 -noout -fingerprint -sha256 -in "/etc/pve/local/$kind.pem"
    fi
done
echo none
"""
"""The one that somebody put there is shown before Proxmox's own."""
_FINGERPRINT = re.compile(r"=((?:[0-9A-F]{2}:){31}[0-9A-F]{2})\s*$")


class DebianShell:
    """metal.cluster.hosts.HostShell through a Runner."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def run_part(self, part: str, script: str, *, anew: bool) -> bool:
        word = "anew" if anew else "as-it-is"
        told = self._run(("sh", "-c", RUN_PART, "_", part, word), stdin=script.encode())
        state, _, said = told.partition("\n")
        if state.startswith("failed"):
            raise Failed(
                f"its part {part!r} ended with code {state.removeprefix('failed ')}: "
                f"{' / '.join(said.split(chr(10))[-4:]).strip()}",
                where=self._runner.where,
                mend=f"the whole of it is there in /var/lib/metal/{part}.log; once that is mended, "
                "the same command goes on",
            )
        return state == "done"

    def boot(self) -> str:
        return self._run(("cat", BOOT)).strip()

    def restart(self) -> None:
        try:
            self._run(("systemctl", "reboot"))
        except Unreachable:
            return  # it was quicker than its answer; whether it restarts is seen by its next boot

    def certificate(self) -> str | None:
        found = _FINGERPRINT.search(self._run(("sh", "-c", CERTIFICATE)))
        return found[1] if found else None

    def _run(self, argv: tuple[str, ...], stdin: bytes = b"") -> str:
        return must(self._runner, argv, stdin=stdin).decode(errors="replace").strip()
