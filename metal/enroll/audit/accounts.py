"""Who else may log in to the BMC. Pure; no password is tried."""

from metal.enroll.audit.scene import WEB_PAGE, Said, Scene
from metal.model.facts import Account
from metal.model.findings import Finding

DELIVERED = frozenset(
    {"admin", "administrator", "root", "userid", "sysadmin", "super", "supervisor", "operator"}
    | {"user", "guest", "test", "monitor", "service", "toor", "hqadmin", "nmcadmin"}
)
"""Names that makers deliver BMCs with: Dell root, HPE Administrator, Supermicro ADMIN, Lenovo and
IBM USERID, Fujitsu and Cisco admin, OpenBMC root, AMI's boards admin, Oracle root."""


def default_accounts(scene: Scene) -> Said:
    others = _others(scene)
    if others is None:
        return scene.why_not("accounts")
    named = [a for a in others if _delivered(a)]
    if not named:
        return None
    names = ", ".join(a.name for a in named)
    return Finding(
        id="default-accounts",
        severity="high" if any(map(_administers, named)) else "medium",
        what=f"accounts that makers deliver BMCs with are enabled: {names}",
        remedy=f"disable them, or give them another password, {WEB_PAGE}; their passwords were "
        "not tried",
        evidence=_with_roles(named),
    )


def other_administrators(scene: Scene) -> Said:
    others = _others(scene)
    if others is None:
        return scene.why_not("accounts")
    strong = [a for a in others if _administers(a) and not _delivered(a)]
    if not strong:
        return None
    names = ", ".join(a.name or "(without a name)" for a in strong)
    return Finding(
        id="other-administrators",
        severity="high",
        what=f"other accounts can still administer the BMC: {names}",
        remedy=f"disable or delete them {WEB_PAGE}, or find out whose they are",
        evidence=_with_roles(strong),
    )


def _others(scene: Scene) -> list[Account] | None:
    """Those that are enabled, or may be, and are not metal's own."""
    if scene.around.accounts is None:
        return None
    own = scene.around.user
    return [a for a in scene.around.accounts if a.name != own and a.enabled is not False]


def _delivered(account: Account) -> bool:
    return account.name.strip().lower() in DELIVERED


def _administers(account: Account) -> bool:
    """Unless it says that it is something less: a role that is not told may be any."""
    return "admin" in (account.role or "administrator").lower()


def _with_roles(accounts: list[Account]) -> str:
    return ", ".join(f"{a.name or '(no name)'} ({a.role or 'role not told'})" for a in accounts)


def password_change(scene: Scene) -> Said:
    if scene.exposure.password_change_required is None:
        return scene.why_not("password_change_required")
    if not scene.exposure.password_change_required:
        return None
    return Finding(
        id="password-change-required",
        severity="high",
        what="an account still has the password it was delivered with: the BMC wants it changed",
        remedy=f"change it or disable the account {WEB_PAGE}; `metal enroll` does so for its own",
        evidence="PasswordChangeRequired",
    )
