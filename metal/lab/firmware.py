"""What runs on a simulated server: its firmware, iPXE, the Debian installer, the first boot.

It speaks to the boot service as the real ones do, over HTTP, and does what the texts say that it
gets: the boot script, the kernel's arguments, the preseed. Whatever it does ends at once when
the power goes.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import bcrypt
import requests

from metal.install.derived import proof_of
from metal.lab.clock import Clock
from metal.lab.live import Gone, PretendLive
from metal.lab.luks_double import format_luks
from metal.lab.machine import Boot, DiskState, Machine
from metal.lab.medium import Medium, believed, read_medium
from metal.lab.preseeding import (
    Prompt,
    Reporter,
    Script,
    echoed,
    parse_preseed,
    parse_script,
    report_urls,
    reporter,
    root_keys,
    touched,
    trusted,
    wanted_disks,
)
from metal.live.agent.talk import GONE
from metal.model.facts import Drive

POST_SECONDS = 20.0
LIVE_SECONDS = 10.0
SCRIPT_TRIES, SCRIPT_PAUSE = 120, 5.0
"""A server whose only boot device is the network tries it over and over."""
INSTALL_SECONDS = {"preseed": 30.0, "partitioned": 20.0, "base": 60.0, "finished": 90.0}
"""Lab seconds up to each phase; a fast machine with a near mirror."""
REPORT_TRIES, REPORT_PAUSE = 5, 2.0
UP_SECONDS, UP_TRIES, UP_PAUSE = 30.0, 1440, 10.0
HTTP_SECONDS = 20.0


class _PowerLost(Exception):
    """The machine went off, or was restarted: nothing runs on it any more."""


class Firmware:
    """Call it as `machine.on_boot`: it returns when nothing is left to do until the next boot."""

    def __init__(
        self,
        boot_url: str,
        clock: Clock,
        on_installed_boot: Callable[[Machine], dict[str, str]],
        host_keys: Callable[[Machine], dict[str, str]],
        ask_for_key: Callable[[Machine, Boot], None] = lambda _machine, _boot: None,
    ) -> None:
        self._boot_url, self._clock = boot_url.rstrip("/"), clock
        self._on_installed_boot = on_installed_boot
        self.host_keys = host_keys
        """The public keys of the SSH servers that the installer put on a machine."""
        self.ask_for_key = ask_for_key
        """The initramfs: returns once the disk was given its key, or the power went."""
        self.notes: dict[str, str] = {}
        """Machine → the last line on its console."""

    def __call__(self, machine: Machine, boot: Boot) -> None:
        try:
            _Session(self, machine, boot).run()
        except _PowerLost:
            pass
        except Prompt as prompt:
            self.say(machine, f"the installer stopped: {prompt}")

    def say(self, machine: Machine, line: str) -> None:
        self.notes[machine.name] = line
        machine.serial.print(f"{line}\r\n".encode())

    def pause(self, boot: Boot, seconds: float) -> None:
        if self._clock.sleep(seconds, boot.off):
            raise _PowerLost

    @property
    def boot_url(self) -> str:
        return self._boot_url

    def installed_boot(self, machine: Machine) -> dict[str, str]:
        return self._on_installed_boot(machine)


class _Session:
    """One boot of one machine."""

    def __init__(self, firmware: Firmware, machine: Machine, boot: Boot) -> None:
        self.firmware, self.machine, self.boot = firmware, machine, boot
        self.http = requests.Session()
        self.http.trust_env = False
        self.trusts = ""
        """PEM of the only authority that is believed; "" where nobody asks for one."""

    def run(self) -> None:
        self.pause(POST_SECONDS)
        script = self._script()
        if script.kernel and (token := script.argument("metal.job")):
            self._live(script, token)
        elif script.kernel:
            self._install(script)
        else:
            self._from_disk()

    def _script(self) -> Script:
        match self.boot.device:
            case "network":
                return self._from_network()
            case "media":
                return self._from_drive()
            case _:
                return Script()

    def pause(self, seconds: float) -> None:
        self.firmware.pause(self.boot, seconds)

    def say(self, line: str) -> None:
        self.firmware.say(self.machine, line)

    # ── HTTP, watching the power ────────────────────────────────────────────────────────────

    def _get(self, url: str) -> bytes | None:
        """The body; None when there was no answer, or not the wanted one."""
        return self._ask("GET", url)

    def _ask(self, method: str, url: str, data: dict[str, str] | str | None = None) -> bytes | None:
        sent = self._sent(method, url, data)
        return sent.content if sent is not None and sent.status_code == 200 else None

    def _sent(
        self, method: str, url: str, data: dict[str, str] | str | None = None
    ) -> requests.Response | None:
        """Whatever was answered; None without an answer."""
        if self.boot.off.is_set():
            raise _PowerLost
        sent = None
        with suppress(requests.RequestException), believed(self.trusts) as verify:
            sent = self.http.request(method, url, data=data, timeout=HTTP_SECONDS, verify=verify)
        if self.boot.off.is_set():
            raise _PowerLost
        return sent

    # ── iPXE ────────────────────────────────────────────────────────────────────────────────

    def _from_network(self) -> Script:
        """The script it got, its files fetched; the disk after too many tries."""
        hardware = self.machine.hardware
        query = urlencode({"mac": hardware.nics[0].mac, "uuid": hardware.uuid})
        for _ in range(SCRIPT_TRIES):
            text = self._get(f"{self.firmware.boot_url}/boot?{query}")
            if text is not None:
                script = self._loaded(text.decode())
                if script is not None:
                    return script
            self.say("iPXE: no boot script yet")
            self.pause(SCRIPT_PAUSE)
        return Script()

    def _loaded(self, text: str) -> Script | None:
        """The script with its kernel and initrd downloaded; None if one did not come."""
        try:
            script = parse_script(text)
        except ValueError as error:
            self.say(f"iPXE: {error}")
            return None
        files = [url for url in (script.kernel, script.initrd) if url]
        return script if all(self._get(url) for url in files) else None

    # ── a medium ────────────────────────────────────────────────────────────────────────────

    def _from_drive(self) -> Script:
        """What the image in the virtual drive boots: its BMC asks nobody whose it is."""
        image = self._get(self.boot.image or "")
        try:
            medium = read_medium(image or b"")
        except ValueError as error:
            self.say(f"nothing to boot in the virtual drive: {error}")
            return Script()
        if self._did_its_work(medium):
            return Script()
        self.trusts = medium.ca
        return medium.script

    def _did_its_work(self, medium: Medium) -> bool:
        disks = self.machine.disks.values()
        return any(d.installed_with.get("marker") == medium.marker for d in disks)

    # ── the live system ─────────────────────────────────────────────────────────────────────

    def _live(self, script: Script, token: str) -> None:
        """Boots, does its job, and switches the power off."""
        self.say("the live system starts")
        self.pause(LIVE_SECONDS)
        url = script.argument("metal.url") or self.firmware.boot_url
        PretendLive(self.machine, self, url, token).perform()
        self.machine.power_off()

    def fetch(self, url: str) -> dict[str, Any] | None:
        body = self._get(url)
        return None if body is None else json.loads(body)

    def post(self, url: str, body: dict[str, Any]) -> bool:
        sent = self._sent("POST", url, json.dumps(body))
        if sent is not None and sent.status_code in GONE:
            raise Gone
        return sent is not None and sent.status_code == 200

    # ── the Debian installer ────────────────────────────────────────────────────────────────

    def _install(self, script: Script) -> None:
        url = script.argument("url", "preseed/url")
        if script.initrd is None or url is None or script.argument("auto") != "true":
            raise Prompt("which language? (no initrd, auto=true or url= on the kernel's line)")
        self.say("the installer starts")
        self.pause(INSTALL_SECONDS["preseed"])
        self.machine.asked_at = time.time()
        text = self._get(url)
        if text is None:
            raise Prompt("the preseed could not be fetched")
        answers = parse_preseed(text.decode())
        reports = report_urls(answers["preseed/early_command"])
        disk = self._partition(answers)
        self._report(reports, "partitioned")
        self.say("installing: base")
        self.pause(INSTALL_SECONDS["base"])
        self._report(reports, "base")
        self.say("installing: finished")
        self.pause(INSTALL_SECONDS["finished"])
        self._put_system(disk, answers)
        self._tell(disk, "finished", tries=REPORT_TRIES, pause=REPORT_PAUSE)
        self.machine.reboot()

    def _partition(self, answers: dict[str, str]) -> DiskState:
        """The disk that was named, empty now and encrypted; no other is touched. Two that are
        named hold the same from now on."""
        chosen: list[str] = []
        for name, serial in wanted_disks(answers["partman/early_command"]):
            found = [d.name for d in self.machine.hardware.drives if _chosen(d, name, serial)]
            found = [drive for drive in found if drive not in chosen]
            if len(found) != 1:
                raise Prompt(f"{len(found)} disks are {name} {serial}")
            chosen += found
        passphrase = answers["partman-crypto/passphrase"]
        if answers["partman-crypto/passphrase-again"] != passphrase:
            raise Prompt("the two passphrases differ")
        disk = self.machine.disks[chosen[0]]
        disk.wipes += 1
        disk.system, disk.installed_with = "", {}
        format_luks(disk, passphrase)
        self.machine.disks.update(dict.fromkeys(chosen, disk))
        self.say(f"partitioning {' and '.join(chosen)}")
        self.pause(INSTALL_SECONDS["partitioned"])
        return disk

    def _put_system(self, disk: DiskState, answers: dict[str, str]) -> None:
        late = answers["preseed/late_command"]
        disk.installed_with = {
            "hostname": answers.get("netcfg/get_hostname", ""),
            "address": answers["netcfg/get_ipaddress"],
            "packages": answers.get("pkgsel/include", "").split(),
            "root_hash": answers["passwd/root-password-crypted"],
            "reports": reporter(late),
            "root_keys": root_keys(late),
            "initramfs_conf": echoed(late, "initramfs-tools/conf.d/metal"),
            "trusts": trusted(late),
            "marker": touched(late),
            "dropbear_conf": echoed(late, "dropbear/initramfs/dropbear.conf"),
        }
        disk.system = f"debian {answers['mirror/suite']}"

    def _report(self, reports: dict[str, str], phase: str) -> None:
        """As the preseed's commands do: a few tries, and on without an answer."""
        for _ in range(REPORT_TRIES if phase in reports else 0):
            if self._ask("POST", reports[phase]) is not None:
                return
            self.pause(REPORT_PAUSE)

    # ── the installed system ────────────────────────────────────────────────────────────────

    def _from_disk(self) -> None:
        disk = system_disk(self.machine)
        if disk is None:
            self.say("no bootable device")
            return
        self.say("waiting for the disk's key")
        self.firmware.ask_for_key(self.machine, self.boot)
        self.pause(UP_SECONDS)
        details = self.firmware.installed_boot(self.machine)
        self.say(f"{disk.system}, up")
        if self._tell(disk, "up", details, tries=UP_TRIES, pause=UP_PAUSE):
            disk.installed_with["reports"] = None

    def _tell(
        self,
        disk: DiskState,
        phase: str,
        details: Mapping[str, str] = MappingProxyType({}),
        *,
        tries: int,
        pause: float,
    ) -> bool:
        """As metal-up does: until it was accepted, which it is once; the script is gone then."""
        reports: Reporter | None = disk.installed_with["reports"]
        if reports is None:
            return False
        self.trusts = disk.installed_with.get("trusts", "")
        told = {**details, **self.firmware.host_keys(self.machine)}
        told["proof"] = proof_of(reports.key, phase, told)
        for _ in range(tries):
            if self._ask("POST", f"{reports.url}/{phase}", told) is not None:
                return True
            self.pause(pause)
        return False


def root_password_ok(machine: Machine, password: str) -> bool:
    """Whether `password` is root's on the system that was installed; False without one."""
    disk = system_disk(machine)
    root_hash = disk.installed_with.get("root_hash", "") if disk else ""
    return bool(root_hash) and bcrypt.checkpw(password.encode(), root_hash.encode())


def system_disk(machine: Machine) -> DiskState | None:
    return next((disk for disk in machine.disks.values() if disk.system), None)


def _chosen(drive: Drive, name: str, serial: str) -> bool:
    """By the serial number as udev writes it, else by the kernel's name."""
    if serial:
        return "_".join((drive.serial or "").split()) == serial
    return drive.name.removeprefix("/dev/") == name
