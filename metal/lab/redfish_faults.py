"""How a Redfish BMC of the lab can misbehave: every quirk that a double can show, as a switch.

Names that end a table row (R01 …) are those of docs/bmc-quirks.md. Here also what goes wrong
below the resources: answers that are late, cut, too large, or no JSON at all.
"""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

Body = dict[str, Any]

FAULTS = {
    # ── the connection ──
    "silent": "accepts connections and never answers",
    "slow": "needs `slowness` seconds for each answer (R21)",
    "trickle": "answers a byte every `slowness` seconds",
    "cut": "closes the connection in the middle of an answer",
    "old-tls": "speaks TLS 1.0 and nothing newer; before it starts (R55)",
    # ── what comes where JSON is expected ──
    "html": "shows its log-in page where JSON is asked for (R19)",
    "empty": "answers with nothing at all (R19)",
    "half-json": "breaks off in the middle of its JSON",
    "huge-body": "answers with 50 MB",
    "gzip-always": "compresses without being asked, and says 406 to who takes no gzip (R18)",
    "gzip-unsaid": "compresses and does not say so (R18)",
    "gzip-bomb": "answers with 50 KB that unpack to 50 MB",
    "error-beside": "says 500 and shows the resource beside an error (R20)",
    # ── redirects, pages, paths ──
    "redirect-sessions": "redirects to the path with a slash at its end (R17)",
    "redirect-loop": "redirects to itself",
    "redirect-away": "redirects to another host",
    "paged-collections": "shows a collection's members one a page (R22)",
    "endless-paging": "has a next page for ever",
    "expands": "shows a collection's members in place of their links, when it is asked to",
    "expand-refused": "offers to do so, and refuses",
    "expand-ignored": "offers to do so, and does not",
    "wrong-counts": "counts 0 members, whatever there is (R24)",
    "moved": "has its resources at other paths than most (R56)",
    "rootless": "shows a root without systems to the first session (R54)",
    # ── busy ──
    "flaky": "is busy at every third request",
    "retry-after": "is busy for a second and says so in words alone (R12)",
    "busy-after-restart": "says 503 to the first two requests, and not for how long (R13)",
    # ── sessions ──
    "session-limit": "has no session left (R14)",
    "one-session": "has one session and no more",
    "no-basic": "takes no password but at the log-in of a session",
    "session-vanishes": "forgets its sessions now and then, and cuts the 401 that says so (R15)",
    "no-token": "opens a session and hands out no token of it (R14)",
    "root-needs-login": "shows its root to none but users, against the standard",
    "logout-405": "cannot end a session (R16)",
    "lockout": "locks an account after three wrong passwords (R53)",
    "password-change-required": "shows nothing before the first password is changed (R49)",
    # ── preconditions ──
    "etag-required": "refuses a PATCH without If-Match (R01)",
    "no-etag": "tells no ETag; with etag-required only If-Match: * is taken (R01)",
    "stale-etag": "says that the first ETag sent for a resource is stale (R02)",
    "etag-gzip": "appends -gzip to its ETags and knows them without it (R03)",
    # ── boot ──
    "settings-object": "takes a boot override at its settings resource only (R04)",
    "mode-falls-back": "boots in legacy mode where the mode is left out (R05)",
    "mode-refused": "refuses a boot mode, and shows none (R06)",
    "mode-reverts": "says yes to a boot mode and keeps its own (R07)",
    "boot-override-ignored": "says yes to a boot override and does nothing (R07)",
    "refuses-but-does": "says 400 to a PATCH and does it (R08)",
    "post-busy": "changes nothing while the server starts: twice (R09)",
    "legacy-only": "its firmware is set to legacy mode, which only its setup changes (R10)",
    "http-uri-refused": "lists UefiHttp and refuses it (R11)",
    # ── power ──
    "action-info": "names its reset types through ActionInfo alone (R39)",
    "reset-values": "knows only On, Off and ForceOff, Off being the soft one (R40)",
    "reset-400-while-off": "refuses any reset but On while off (R41)",
    "reset-ignored": "says yes to a reset and does nothing",
    "reset-refuses-but-does": "says 400 to a reset and does it (R08)",
    "no-acpi": "what runs on it ignores a soft shutdown",
    # ── virtual drives ──
    "media-on-system": "has its virtual drives below the system (R47)",
    "media-patch-only": "has no InsertMedia, but takes a PATCH (R45)",
    "media-get-only": "shows virtual drives and nothing else (R44)",
    "media-licence": "wants a licence key for virtual drives (R42)",
    "media-oem": "mounts by IsoConfig, as Supermicro X10 and X11 (R43)",
    "media-in-use": "shows the last image of an empty drive and calls it in use (R46)",
    "media-verifies": "wants to verify the certificate of an HTTPS image, and cannot (R48)",
    "media-strict": "refuses InsertMedia with anything but the image",
    "no-media": "has no virtual drives",
    # ── accounts ──
    "password-policy": "refuses every new password",
    "echoes-password": "repeats the password that it refuses in its message",
    "stricter-policy": "wants 12 characters of all four classes (R52)",
    "password-late": "lets a new password in at the second try only (R50)",
    "self-change-401": "ends all sessions of an account with its password, even this one (R50)",
    "fixed-slots": "has sixteen slots and creates no account (R51)",
    "role-read-only": "refuses a PATCH of RoleId",
    "no-disable": "cannot disable accounts",
    "short-passwords": "takes 12 characters at most (R52)",
    "short-unsaid": "takes 12 characters at most, and does not say so (R52)",
    "short-as-text": "takes 12 characters at most, and says so in a text (R52)",
    "no-signs": "refuses a password with a sign in it (R52)",
    "accounts-500": "fails to show its account service, twice",
    "accounts-read-only": "creates and changes no account",
    "password-500": "takes a new password, and says 500",
    "password-ignored": "says yes to a new password and keeps the old one",
    "password-both": "lets the old password in beside the new one, for ever",
    "password-cut": "cuts a new password at 12 characters without a word (I05)",
    "silent-after-password": "answers nobody any more once it has a new password",
    "full-after-password": "has no session left once it has a new password (R14)",
    # ── logs, services ──
    "clock-1970": "never got the time: its clock and log say 1970",
    "log-links": "lists log entries as links only",
    "log-newest-first": "lists the newest log entry first",
    "skip-ignored": "shows its log from the beginning, from wherever it is asked for",
    "log-clear-type": "clears its log only if told what: ClearAll",
    "log-stays": "says yes to clearing its log and keeps it",
    "ipmi-off": "has IPMI over LAN switched off (I13)",
    "snmp-public": "answers SNMP for the community public",
    "telnet": "has telnet open",
}
"""Fault → what the BMC does. All of them are looked at anew with every request."""

HUGE = 50 * 1024 * 1024
AWAY = "https://203.0.113.1/redfish/v1/"
"""TEST-NET-3: nobody is there."""


def error(
    status: int, message: str, headers: Any = None, *, id: str = "", args: Any = ()
) -> Response:
    """An answer that refuses, with its Message (DSP0266 9.6.6)."""
    info = {
        "@odata.type": "#Message.v1_1_1.Message",
        "MessageId": id or "Base.1.8.GeneralError",
        "Message": message,
        "MessageArgs": list(args),
    }
    body = {"code": info["MessageId"], "message": message, "@Message.ExtendedInfo": [info]}
    return JSONResponse({"error": body}, status, headers=headers)


def misshapen(fault: str, seconds: float) -> Response | None:
    """The whole answer of a BMC with that fault; None if the fault is none of that kind."""
    match fault:
        case "html":
            return HTMLResponse("<html><title>Log in</title></html>")
        case "empty":
            return Response(b"", media_type="application/json")
        case "half-json":
            return Response(b'{"Id": "1", "Members": [{"@oda', media_type="application/json")
        case "huge-body":
            return StreamingResponse(_huge(), media_type="application/json")
        case "gzip-bomb":
            packed = gzip.compress(b'{"a": "' + bytes(HUGE) + b'"}', 9)
            return Response(packed, headers={"Content-Encoding": "gzip"})
        case "trickle":
            return StreamingResponse(_drip(seconds), media_type="application/json")
        case "cut":
            return StreamingResponse(_drip(0), headers={"Content-Length": "1000"})
    return None


def packed(response: Response, *, said: bool) -> Response:
    """The same answer compressed, with or without a word about it."""
    headers = {k: v for k, v in response.headers.items() if k != "content-length"}
    if said:
        headers["Content-Encoding"] = "gzip"
    return Response(gzip.compress(bytes(response.body)), response.status_code, headers)


def one_a_page(body: Body, path: str, skip: int) -> Body:
    """A collection's page that begins at member `skip`."""
    members = body.get("Members")
    if not isinstance(members, list) or len(members) < 2:
        return body
    page = body | {"Members": members[skip : skip + 1], "Members@odata.count": len(members)}
    if skip + 1 < len(members):
        page["Members@odata.nextLink"] = f"{path}?$skip={skip + 1}"
    return page


def endless(body: Body, path: str, skip: int) -> Body:
    return body | {"Members@odata.nextLink": f"{path}?$skip={skip + 1}"}


async def _huge() -> AsyncIterator[bytes]:
    yield b'{"a": "'
    for _ in range(HUGE // 65536):
        yield b"x" * 65536


async def _drip(seconds: float) -> AsyncIterator[bytes]:
    for byte in json.dumps({"Id": "1", "Name": "a very slow BMC"}):
        yield byte.encode()
        await asyncio.sleep(seconds)
