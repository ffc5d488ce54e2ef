"""Sends the alarms that are due, through the hooks of the inventory."""

import logging
import secrets
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from metal.controller.workspace import Workspace
from metal.drivers.hooks import send
from metal.model.errors import BadInput, MetalError
from metal.model.watch import Hook

log = logging.getLogger(__name__)


class Callers:
    """Send what is due beside the rounds, one thread a hook.

    A mail server that does not answer takes its 20 seconds: in them a server may die, and others
    are to be called.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._threads: dict[str, threading.Thread] = {}

    def go_on(self) -> None:
        """Begin to send what is due, by every hook that is not at it still."""
        for hook in {alarm.hook for alarm in self._workspace.store.alarms.due()}:
            at_work = self._threads.get(hook)
            if at_work is None or not at_work.is_alive():
                self._threads[hook] = threading.Thread(
                    target=self._send, args=(hook,), name=f"alarm {hook}", daemon=True
                )
                self._threads[hook].start()

    def settle(self, seconds: float) -> None:
        """Give those that are at it so long together; what was not sent stays due."""
        until = time.monotonic() + seconds
        for thread in self._threads.values():
            thread.join(max(0.0, until - time.monotonic()))

    def _send(self, hook: str) -> None:
        try:
            send_due(self._workspace, hook)
        except MetalError as error:  # the database is away: the rounds tell of it
            log.warning("alarms by %s wait: %s", hook, error)


def send_due(workspace: Workspace, only: str | None = None) -> dict[str, str]:
    """Hook → why it took none, of those that were tried. What was not taken is tried again."""
    store, failed = workspace.store, {}
    for alarm in store.alarms.due():
        if only not in (None, alarm.hook):
            continue
        hook = workspace.inventory.alarms.get(alarm.hook)
        if hook is None:
            store.alarms.sent(alarm)  # nobody is called by that name any more
            continue
        if alarm.hook in failed:
            continue  # its other alarms wait, so that their order is kept
        try:
            key = f"metal-{workspace.inventory.fleet.name}-{alarm.id}"
            _send(workspace, alarm.hook, hook, alarm.subject, alarm.body, key)
            store.alarms.sent(alarm)
        except MetalError as error:
            failed[alarm.hook] = error.what
            store.alarms.not_sent(alarm, error.what)
    return failed


def cry(workspace: Workspace, subject: str, body: str) -> dict[str, str]:
    """Hook → why it did not take this; through every hook at once, past a store that is away.

    Nothing is kept of it and nothing is tried again: whoever cries has nowhere to write.
    """
    fleet, hooks = workspace.inventory.fleet.name, workspace.inventory.alarms

    def call(name: str) -> str:
        try:
            key = f"metal-{fleet}-{secrets.token_hex(8)}"
            _send(workspace, name, hooks[name], f"[{fleet}] {subject}", body, key)
        except MetalError as error:
            return error.what
        return ""

    with ThreadPoolExecutor(max(1, len(hooks))) as crew:
        said = dict(zip(hooks, crew.map(call, hooks), strict=True))
    return {name: why for name, why in said.items() if why}


def try_hooks(workspace: Workspace, names: Sequence[str] = ()) -> dict[str, str]:
    """Hook → why it did not take a test now; "" if it did. Every hook, unless some are named."""
    hooks, fleet = workspace.inventory.alarms, workspace.inventory.fleet.name
    if not hooks:
        raise BadInput(
            "no hook is in the inventory",
            where="inventory.toml",
            mend='add [alarms.ops] with kind = "mail" and to = "ops@example.org"',
        )
    results = {}
    for name in names or hooks:
        hook = _named(workspace, name)
        try:
            body = "Nothing is wrong. Somebody tried whether alarms reach you."
            _send(workspace, name, hook, f"[{fleet}] test", body, f"test-{secrets.token_hex(8)}")
            results[name] = ""
        except MetalError as error:
            results[name] = str(error)
    return results


def keep_secret(workspace: Workspace, name: str, secret: str) -> None:
    """Escrow what a hook needs: a webhook's URL, a Matrix token."""
    hook = _named(workspace, name)
    if hook.kind not in ("webhook", "matrix"):
        raise BadInput(f"a {hook.kind} needs no secret", where=f"alarms.{name}")
    if not secret or secret.split() != [secret]:
        raise BadInput("that is no URL or token: it is empty or has blanks", where=f"alarms.{name}")
    if hook.kind == "webhook" and not secret.startswith(("https://", "http://")):
        raise BadInput("that is no URL", where=f"alarms.{name}", mend="it begins with https://")
    workspace.secrets.escrow(f"alarms/{name}", secret, controller=True)


def _named(workspace: Workspace, name: str) -> Hook:
    if name not in workspace.inventory.alarms:
        known = ", ".join(workspace.inventory.alarms) or "none"
        raise BadInput("no such hook", where=name, mend=f"the inventory has {known}")
    return workspace.inventory.alarms[name]


def _send(workspace: Workspace, name: str, hook: Hook, subject: str, body: str, key: str) -> None:
    send(
        hook,
        subject,
        body,
        key=key,
        secret=workspace.secrets.reveal(f"alarms/{name}"),
        folder=workspace.folder,
        domain=workspace.inventory.fleet.domain,
    )
