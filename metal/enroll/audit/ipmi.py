"""What IPMI offers to whoever reaches it, which is more than it should. Pure."""

from metal.enroll.audit.scene import WEB_PAGE, Said, Scene
from metal.model.addresses import ip_of
from metal.model.findings import Finding


def cipher_0(scene: Scene) -> Said:
    suites = scene.exposure.cipher_suites
    if suites is None:
        return scene.why_no_ipmi("cipher_suites")
    if 0 not in suites:
        return None
    return Finding(
        id="cipher-0",
        severity="critical",
        what="IPMI cipher suite 0 is open: whoever knows a user's name is that user, "
        "without a password",
        remedy="ipmitool lan set 1 cipher_privs XXXaXXXXXXXXXXX (of 0 to 14 only 3 is left), "
        "or switch IPMI over LAN off",
        evidence=f"cipher suites {_numbers(suites)}",
    )


def auth_none(scene: Scene) -> Said:
    types = scene.exposure.auth_types
    if types is None:
        return scene.why_no_ipmi("auth_types")
    if "none" not in types:
        return None
    return Finding(
        id="auth-none",
        severity="critical",
        what="IPMI 1.5 takes log-ins without any authentication",
        remedy="ipmitool lan set 1 auth ADMIN MD5, and the same for CALLBACK, USER and OPERATOR",
        evidence=f"authentication types {', '.join(types)}",
    )


def anonymous(scene: Scene) -> Said:
    if scene.exposure.anonymous is None:
        return scene.why_not("anonymous")
    if not scene.exposure.anonymous:
        return None
    return Finding(
        id="anonymous",
        severity="critical",
        what="a log-in without a user's name is possible",
        remedy=f"disable the account without a name {WEB_PAGE}, or: ipmitool user disable 1",
        evidence="the BMC says that anonymous log-in is enabled",
    )


def cipher_3_only(scene: Scene) -> Said:
    suites = scene.exposure.cipher_suites
    if suites is None:
        return scene.why_no_ipmi("cipher_suites")
    if 17 in suites or 3 not in suites:
        return None
    return Finding(
        id="cipher-3-only",
        severity="low",
        what="IPMI signs with SHA-1 only (cipher suite 3): 17 is not to be had",
        remedy="newer firmware often knows 17; keep its network closed",
        evidence=f"cipher suites {_numbers(suites)}",
    )


def ipmi_needless(scene: Scene) -> Said:
    if scene.around.protocol != "redfish":
        return None  # it is what we have
    if scene.exposure.ipmi_lan is None:
        return scene.why_not("ipmi_lan")
    if not scene.exposure.ipmi_lan:
        return None
    silent, port = scene.around.ipmi_answers is False, scene.around.ipmi_port
    return Finding(
        id="ipmi-needless",
        severity="low",
        what="IPMI over LAN is on: all that needs it is the serial console"
        + (f", and it does not answer on UDP port {port} from here" if silent else ""),
        remedy="decide. For `metal console`, keep it on and let this controller alone reach UDP "
        f"port {port}; else switch it off {WEB_PAGE}, as IPMI gives a hash of any user's password "
        "to whoever asks (RAKP)",
        evidence="IPMI: ProtocolEnabled",
    )


def ipmi_reachable(scene: Scene) -> Said:
    """Only one place is looked from, and that is said: no answer elsewhere is proven by it."""
    around = scene.around
    if around.ipmi_answers is False:
        return None  # not even from here
    if around.ipmi_answers is None:
        return "whether IPMI answers was not asked"
    ours, subnet = ip_of(around.ours), around.bmc_subnet
    if ours is None or subnet is None:
        return "not known from where it was asked, or which network the site's BMCs have"
    if ours.is_loopback:
        return "it was asked on this very machine, where nothing is outside"
    if ours in subnet:
        return f"it was asked from {ours}, inside of {subnet}: nobody looked from outside"
    public = bool((at := ip_of(around.address)) and at.is_global)
    return Finding(
        id="ipmi-reachable",
        severity="high" if public else "medium",
        what="IPMI answers from outside of the site's network of BMCs"
        + (", at a public address" if public else ""),
        remedy=f"let only this controller ({ours}) into {subnet}, UDP port {around.ipmi_port}, or "
        "switch IPMI over LAN off; whether others get in too could not be seen from here",
        evidence=f"this controller has {ours}, which is not in {subnet}, and got an answer",
    )


def _numbers(suites: tuple[int, ...]) -> str:
    return ", ".join(map(str, suites))
