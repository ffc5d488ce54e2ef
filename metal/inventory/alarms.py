"""Where alarms go: each hook has what its kind needs, and no secret stands in the file."""

from metal.inventory.draft import Draft


def check_alarms(draft: Draft) -> None:
    for name, hook in draft.alarms.items():
        path = ("alarms", name)
        if hook.kind == "mail" and "@" not in hook.to:
            draft.at_value(
                (*path, "to"), f"{hook.to!r} is no mail address", "such as ops@example.org"
            )
        if hook.kind == "matrix":
            if not (hook.to.startswith("!") and ":" in hook.to):
                mend = "the room's id, such as !abc:example.org (room settings, advanced)"
                draft.at_value((*path, "to"), f"{hook.to!r} is no id of a room", mend)
            if not (hook.server or "").startswith("https://"):
                what = "a Matrix room needs `server`, the URL of a homeserver"
                draft.at_key(path, what, 'add server = "https://matrix.example.org"')
        if hook.kind == "webhook" and "://" in hook.to:
            what = "a webhook's URL lets everybody who reads it send: it is a secret"
            mend = (
                f"say in `to` what it is for; `metal alarm secret {name}` keeps the URL in escrow"
            )
            draft.at_value((*path, "to"), what, mend)
        for key in ("server", "sender"):
            if getattr(hook, key) is not None and hook.kind not in USES[key]:
                what = f"`{key}` is of no use to a {hook.kind}"
                draft.at_value((*path, key), what, "remove it")


USES = {"server": ("mail", "matrix"), "sender": ("mail",)}
