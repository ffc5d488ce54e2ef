"""Switch a server over Redfish: ComputerSystem.Reset, with whatever of it the BMC offers.

The state decides, not the code: BMCs say 200 and do nothing, 400 and do it (R08), or advertise
what they refuse (R40). Sources: DSP2046, ComputerSystem.Reset and Resource.ResetType.
"""

from metal.drivers.polling import became
from metal.drivers.redfish_answer import Body
from metal.drivers.redfish_tree import Tree, reset_action
from metal.drivers.redfish_words import power_of
from metal.model.errors import Failed, Refused
from metal.model.facts import Power

RESETS: dict[str, tuple[str, ...]] = {
    "on": ("On", "ForceOn"),
    "off": ("ForceOff",),
    "shut down": ("GracefulShutdown", "Off"),
}
"""By preference; a Cray calls the soft one Off. PushPowerButton is left out: it toggles, so a
repeat would undo it."""
AFTER_NO = 5.0
"""Seconds in which a reset that was refused may still happen."""
PATIENT = 5
"""Times settle: a system needs longer to shut down than a power supply to switch."""


def ensure_power(tree: Tree, wanted: Power, settle: float) -> None:
    """Switch hard, and wait `settle` s until the BMC reads the wanted state back."""
    if wanted not in ("on", "off"):
        raise Refused(f"a machine cannot be switched to {wanted}", where=tree.session.where)
    if power_of(tree.system()) != wanted:  # a reset of one that is off is an error on some (R41)
        _switch(tree, wanted, wanted, settle)


def ensure_shut_down(tree: Tree, settle: float) -> None:
    """Ask what runs on it to end; it may take its time, several `settle`."""
    if power_of(tree.system()) != "off":
        _switch(tree, "shut down", "off", settle * PATIENT)


def cycle(tree: Tree, settle: float) -> None:
    """Off and on as two steps: not every BMC has a cycle, and none says whether it happened."""
    ensure_power(tree, "off", settle)
    ensure_power(tree, "on", settle)


def _switch(tree: Tree, how: str, wanted: Power, settle: float) -> None:
    def done() -> bool:
        return power_of(tree.system()) == wanted

    complaint = ""
    for kind in _kinds(tree, tree.system(), how):
        answer = tree.session.post(_target(tree, tree.system()), {"ResetType": kind})
        complaint = f"{kind}: {answer.complaint}"
        if became(done, settle if answer.ok else min(AFTER_NO, settle)):
            if not answer.ok:
                tree.session.met("R08")
            return
        if answer.ok:
            break  # it took the order; another one on top could undo it
    raise Failed(
        f"the machine did not {how if how == 'shut down' else f'go {wanted}'} ({complaint})",
        where=tree.session.where,
        mend="what runs on it may ignore the request: look at its console, or switch it off hard"
        if how == "shut down"
        else "look at its console; a BMC that ignores resets often needs a restart itself",
    )


def _kinds(tree: Tree, system: Body, how: str) -> list[str]:
    """Reset types to try. Without a list all of them: the BMC then says which it knows."""
    allowed = tree.reset_types(system)
    kinds = [k for k in RESETS[how] if allowed is None or k in allowed]
    if not kinds:
        raise Failed(
            f"the BMC offers no way to {how if how == 'shut down' else f'switch {how}'}, only "
            f"{', '.join(allowed or ())}",
            where=tree.session.where,
            mend="use the power button or a switched PDU",
        )
    if kinds[0] != RESETS[how][0]:
        tree.session.met("R40")
    return kinds


def _target(tree: Tree, system: Body) -> str:
    action = reset_action(system)
    if "@Redfish.ActionInfo" in action:
        tree.session.met("R39")
    target = action.get("target")
    return str(target or f"{tree.system_path.rstrip('/')}/Actions/ComputerSystem.Reset")
