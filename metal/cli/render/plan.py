"""A plan as people read it: by stage, each action with its risk, what and why."""

from collections import Counter

from metal.cli.render.hang import hanging
from metal.model.plan import LEFT_ALONE, Action, InstallServer, Plan, Risk
from metal.tui.grid import safe

STAGES = {
    "install": "Install servers",
    "form": "Form clusters",
    "network": "Change hosts' networks",
    "rings": "Change corosync's links",
    "wishes": "Tell HA what VMs wish for",
    "place": "Place VMs",
    "start": "Start VMs",
    "describe": "Write down addresses of VMs",
    "migrate": "Migrate VMs",
    "drain": "Drain servers",
    "recover": "Recover from dead servers",
}
MARKS = {Risk.SAFE: "safe", Risk.DISRUPTS: "DISRUPTS", Risk.DESTROYS: "DESTROYS"}
INDENT = "  "
MARK_CELLS = 10


def plan_lines(plan: Plan, width: int = 80) -> list[str]:
    """The whole plan; one line says so when there is nothing to do."""
    lines = [] if plan.actions else [nothing(plan)]
    for kind, title in STAGES.items():
        actions = [a for a in plan.actions if a.kind == kind]
        if actions:
            lines += [f"{title} ({len(actions)})"]
            lines += [line for action in actions for line in action_lines(action, width)] + [""]
    if plan.actions:
        lines.append(summary(plan))
    if plan.warnings:
        lines += ["", "Warnings"]
        lines += [line for text in plan.warnings for line in hanging("- ", text, width)]
    return lines


def nothing(plan: Plan) -> str:
    """What an empty plan says: all is well only if nobody is asked for anything either. A warning
    need not stand in the way of anything: a server that is overfull does not."""
    if all(text.endswith(LEFT_ALONE) for text in plan.warnings):
        return "Nothing to do: the world is as the inventory wants it."
    return "Nothing here for metal to do; the warnings are a person's."


def action_lines(action: Action, width: int) -> list[str]:
    """Risk and what on the first line, why below."""
    mark = f"{MARKS[action.risk]:<{MARK_CELLS}}"
    what = hanging(INDENT + mark, action.what, width)
    why = hanging(INDENT + " " * MARK_CELLS, f"because {action.why}", width)
    return what + why


def summary(plan: Plan) -> str:
    """ "56 actions: 10 destroy, 46 are safe." """
    count = Counter(action.risk for action in plan.actions)
    parts = [f"{count[Risk.DESTROYS]} destroy"] if count[Risk.DESTROYS] else []
    parts += [f"{count[Risk.DISRUPTS]} disrupt"] if count[Risk.DISRUPTS] else []
    parts += [f"{count[Risk.SAFE]} are safe"] if count[Risk.SAFE] else []
    noun = "action" if len(plan.actions) == 1 else "actions"
    return f"{len(plan.actions)} {noun}: {', '.join(parts)}."


def destroyed(plan: Plan) -> list[str]:
    """What an application wipes, one entry a server: "alba1 (drive sda, serial S3Z1)"."""
    return [_wiped(a) for a in plan.actions if a.risk == Risk.DESTROYS]


def _wiped(action: Action) -> str:
    if not isinstance(action, InstallServer):
        return safe(action.what)
    drives = [f"drive {d}{f', serial {serial}' if serial else ''}" for d, serial in action.disks]
    return safe(f"{action.server} ({' and '.join(drives)})")
