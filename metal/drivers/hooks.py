"""How an alarm gets to people: SMTP, a webhook, a Matrix room, or a script of theirs.

Each takes a subject and a text; `key` names the alarm, so that one sent twice can be told.
"""

import smtplib
import subprocess
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

import requests

from metal.drivers.commands import end_all
from metal.model.errors import BadInput, Failed, Unreachable
from metal.model.watch import Hook

SECONDS = 20.0


def send(
    hook: Hook, subject: str, body: str, *, key: str, secret: str | None, folder: Path, domain: str
) -> None:
    """Unreachable or Failed when it was not taken; BadInput when its secret is missing.

    `secret`: what is escrowed for the hook. `folder`: what a script's path is relative to.
    """
    match hook.kind:
        case "mail":
            _mail(hook, subject, body, key, domain)
        case "webhook":
            _post(_needed(hook, secret), {"text": f"{subject}\n\n{body}", "id": key}, hook.to)
        case "matrix":
            _matrix(hook, f"{subject}\n\n{body}", key, _needed(hook, secret))
        case "script":
            _script(hook, subject, body, key, folder)


def _needed(hook: Hook, secret: str | None) -> str:
    if secret is None:
        what = "its secret is not in escrow"
        raise BadInput(what, where=hook.to, mend="`metal alarm secret NAME` asks for it")
    return secret


def _mail(hook: Hook, subject: str, body: str, key: str, domain: str) -> None:
    host, _, port = (hook.server or "localhost:25").rpartition(":")
    message = EmailMessage()
    message["From"] = hook.sender or f"metal@{domain}"
    message["To"] = hook.to
    message["Subject"] = " ".join(subject.split())
    message["Message-ID"] = f"<{key}@{domain}>"
    message.set_content(body)
    try:
        with smtplib.SMTP(host.strip("[]"), int(port), timeout=SECONDS) as server:
            server.send_message(message)
    except smtplib.SMTPException as error:
        raise Failed(f"the mail server refused: {error}", where=f"{host}:{port}") from error
    except (OSError, ValueError) as error:
        raise Unreachable(f"no mail server: {error}", where=f"{host}:{port}") from error


def _matrix(hook: Hook, text: str, key: str, token: str) -> None:
    """PUT …/send/m.room.message/{txnId}: the same txnId twice is one message (Matrix spec 1.11)."""
    room = f"{(hook.server or '').rstrip('/')}/_matrix/client/v3/rooms/{quote(hook.to, safe='')}"
    try:
        answer = requests.put(
            f"{room}/send/m.room.message/{key}",
            json={"msgtype": "m.text", "body": text},
            headers={"Authorization": f"Bearer {token}"},
            timeout=SECONDS,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise Unreachable(
            f"no homeserver: {type(error).__name__}", where=hook.server or hook.to
        ) from error
    _taken(answer, hook.to)


def _post(url: str, body: dict[str, str], name: str) -> None:
    """Slack, Mattermost, Rocket.Chat and many more take {"text": …}."""
    try:
        answer = requests.post(url, json=body, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        # Never str(error): it holds the URL, which is the secret.
        raise Unreachable(f"no answer: {type(error).__name__}", where=name) from None
    _taken(answer, name)


def _taken(answer: requests.Response, name: str) -> None:
    if not 200 <= answer.status_code < 300:
        raise Failed(f"it was answered {answer.status_code}", where=name)


def _script(hook: Hook, subject: str, body: str, key: str, folder: Path) -> None:
    """Run with the subject as its argument and the text on stdin; it and what it started have 20
    seconds."""
    path = folder / hook.to
    try:
        script = subprocess.Popen(
            [str(path), subject, key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        raise Failed(f"it cannot be run: {error.strerror}", where=str(path)) from error
    try:
        out, err = script.communicate(body, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        end_all(script)
        raise Failed(f"it ran for more than {SECONDS:g} s", where=str(path)) from error
    except BaseException:
        end_all(script)
        raise
    if script.returncode:
        said = (err.strip() or out.strip()).splitlines()
        last = f": {said[-1]}" if said else ""
        raise Failed(f"it ended with {script.returncode}{last}", where=str(path))
