"""What a Redfish BMC of the lab does to its machine: resets, boots, virtual drives, logs."""

from collections.abc import Set

from starlette.responses import Response

from metal.lab.machine import Machine
from metal.lab.redfish_faults import Body, error
from metal.lab.redfish_services import SMC
from metal.lab.redfish_tree import TARGETS, reset_types

SOFT, RESTART = ("GracefulShutdown", "Off"), ("ForceRestart",)
LAST_IMAGE_IN_USE = "the virtual drive is in use by another session"


def done() -> Response:
    return Response(status_code=204)


def reset(machine: Machine, kind: str, faults: Set[str]) -> Response:
    if kind not in reset_types(faults):
        return error(400, f"the value {kind} is not in the list of acceptable values")
    off = machine.power == "off"
    if off and (kind in RESTART or ("reset-400-while-off" in faults and kind != "On")):
        return error(
            400, "the operation is invalid while the system is off", id="InvalidOperationForSystem"
        )
    if "reset-ignored" not in faults:
        _switch(machine, kind, off, faults)
    return error(400, "the reset failed") if "reset-refuses-but-does" in faults else done()


def _switch(machine: Machine, kind: str, off: bool, faults: Set[str]) -> None:
    turn_on = kind == "On" or (kind == "PushPowerButton" and off)
    if not turn_on and not (kind in SOFT and "no-acpi" in faults):
        machine.power_off()
    if turn_on or kind in RESTART:
        machine.power_on()


def patch_boot(machine: Machine, boot: Body, faults: Set[str]) -> Response:
    target, mode = boot.get("BootSourceOverrideTarget"), boot.get("BootSourceOverrideMode")
    if mode is not None and faults & {"mode-refused", "legacy-only"}:
        return error(400, "the property BootSourceOverrideMode is read-only")
    if target == "UefiHttp" and "http-uri-refused" in faults:
        return error(400, "the property HttpBootUri is read-only")
    if "boot-override-ignored" in faults:
        return done()
    once = boot.get("BootSourceOverrideEnabled") == "Once"
    device = next((d for d, name in TARGETS.items() if name == target), None)
    machine.boot_once = device if once else None
    machine.boot_mode = {"Legacy": "bios", "UEFI": "uefi"}.get(str(mode))
    if mode is None and "mode-falls-back" in faults:
        machine.boot_mode = "bios"
    return done()


# ── Virtual drives ───────────────────────────────────────────────────────────────────────────


class Drives:
    """What is written to the virtual drives of one machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.verifies = True
        self.leftover = True
        """An image is still shown that was taken out long ago."""
        self.config: Body = {}

    def act(self, path: str, body: Body, faults: Set[str]) -> Response:
        """An action's POST."""
        if "media-licence" in faults:
            return error(403, "Not licensed to perform this request: SFT-OOB-LIC is needed")
        match path.rsplit(".", 1)[1]:
            case "InsertMedia":
                return self._insert(body, faults)
            case "EjectMedia" | "UnMount":
                self.machine.media, self.leftover = None, False
                return done()
            case "Mount":
                self.machine.media = f"{self.config.get('Host')}{self.config.get('Path')}"
                return done()
        return error(404, f"there is no action {path}")

    def patch(self, path: str, body: Body, faults: Set[str]) -> Response:
        if path == f"{SMC}/CfgCD":
            self.config |= body
            return done()
        if "VerifyCertificate" in body:
            self.verifies = bool(body["VerifyCertificate"])
            return done()
        if "media-patch-only" not in faults:
            return error(405, f"{path} is read-only", {"Allow": "GET, HEAD"})
        if body.get("Image"):
            return self._insert(body, faults)
        self.machine.media = None
        return done()

    def _insert(self, body: Body, faults: Set[str]) -> Response:
        url = str(body.get("Image"))
        if "media-strict" in faults and set(body) != {"Image"}:
            return error(400, "the property WriteProtected is unknown")
        if self.machine.media or ("media-in-use" in faults and self.leftover):
            return error(400, LAST_IMAGE_IN_USE)
        if url.startswith("https:") and self.verifies and "media-verifies" in faults:
            return error(400, "the certificate of the image server cannot be verified")
        self.machine.media = url
        return done()


def clear_log(machine: Machine, body: Body, faults: Set[str]) -> Response:
    if "log-clear-type" in faults and body.get("ClearType") != "ClearAll":
        return error(400, "the parameter ClearType is missing")
    if "log-stays" not in faults:
        machine.events.clear()
    return done()
