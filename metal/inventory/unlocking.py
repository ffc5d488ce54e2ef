"""How disks are unlocked: Tang servers that exist, stand elsewhere, and are enough."""

from metal.inventory.draft import Draft
from metal.inventory.keys import key_problem
from metal.inventory.mistakes import suggest
from metal.model.fleet import OUTSIDE, Unlock


def check_unlocking(draft: Draft) -> None:
    _recovery(draft)
    for name in draft.tang:
        _home(draft, name)
    for name, server in draft.servers.items():
        _policy(draft, name, server.unlock)
        _stolen_rack(draft, name, server.unlock)


def _recovery(draft: Draft) -> None:
    key = draft.fleet.recovery if draft.fleet else None
    if key is None:
        return
    path = ("fleet", "recovery")
    if problem := key_problem(key):
        draft.at_value(path, *problem)
    elif not key.startswith("age1"):
        draft.at_value(path, "is no age recipient", "`metal keys shares split` makes one")


def _home(draft: Draft, name: str) -> None:
    """It runs on something that is there, and its site is that one's."""
    tang, path = draft.tang[name], ("tang", name, "runs_on")
    known = [*draft.declared["servers"], *draft.declared["vms"], OUTSIDE]
    if tang.runs_on not in known:
        mend = suggest(tang.runs_on, known, "server, VM or outside")
        draft.at_value(path, f"there is no server or VM `{tang.runs_on}`", mend)
        return
    place = ("tang", name, "site")
    if tang.site is not None and tang.site not in draft.declared["sites"]:
        mend = suggest(tang.site, draft.declared["sites"], "site")
        draft.at_value(place, f"there is no site `{tang.site}`", mend)
        return
    home = _site_of_home(draft, tang.runs_on)
    if tang.site and home and tang.site != home:
        what = f"`{tang.runs_on}` stands at {home}, not at {tang.site}"
        draft.at_value(place, what, "leave `site` out: it follows from what it runs on")


def _policy(draft: Draft, name: str, unlock: Unlock) -> None:
    path = ("servers", name, "unlock")
    for i, tang in enumerate(unlock.tang):
        if tang not in draft.declared["tang"]:
            mend = suggest(tang, draft.declared["tang"], "Tang server")
            draft.at_value((*path, "tang", i), f"there is no Tang server `{tang}`", mend)
        elif tang in unlock.tang[:i]:
            mend = "name each once: the same one twice is no second"
            draft.at_value((*path, "tang", i), f"Tang server `{tang}` is named twice", mend)
        elif tang in draft.tang and draft.tang[tang].runs_on == name:
            mend = "name Tang servers that run elsewhere"
            what = f"Tang server `{tang}` runs on {name} itself, behind the disk it is to open"
            draft.at_value((*path, "tang", i), what, mend)
    if "tang" in unlock.by and not unlock.tang:
        what = "`by` says tang, and no Tang server is named"
        draft.at_key(path, what, 'add tang = ["NAME"], and [tang.NAME] with url and thumbprint')
    if unlock.tang and "tang" not in unlock.by:
        what = "Tang servers are named, and `by` does not say tang"
        draft.at_key(path, what, 'add "tang" to `by`, or remove `tang`')
    if unlock.tang and unlock.threshold > len(unlock.tang):
        what = f"`threshold` is {unlock.threshold} of {len(unlock.tang)} Tang servers"
        mend = "name more of them, or ask for fewer: it would never open"
        draft.at_value((*path, "threshold"), what, mend)


def _stolen_rack(draft: Draft, name: str, unlock: Unlock) -> None:
    """Tang servers of a server's own site must not be enough: they are stolen with it."""
    site = draft.servers[name].site
    near = [t for t in unlock.tang if t in draft.tang and _site_of(draft, t) == site]
    if "tang" not in unlock.by or not near or len(near) < unlock.threshold:
        return
    what = (
        f"{', '.join(f'`{t}`' for t in near)} at {site} itself would be enough to unlock `{name}`: "
        "a stolen rack would open itself"
    )
    mend = "use Tang servers of other sites"
    if len(unlock.tang) > len(near):
        mend += f", or raise `threshold` to {len(near) + 1}"
    draft.at_key(("servers", name, "unlock"), what, mend)


def _site_of(draft: Draft, tang: str) -> str | None:
    return draft.tang[tang].site or _site_of_home(draft, draft.tang[tang].runs_on)


def _site_of_home(draft: Draft, home: str) -> str | None:
    """The site of a server, or of the cluster that a VM is pinned to; None if that is open."""
    if home in draft.servers:
        return draft.servers[home].site
    if home in draft.vms:
        cluster = draft.vms[home].cluster
        return draft.site_of(cluster) if cluster else None
    return None
