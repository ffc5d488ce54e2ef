"""Behind the boot service: which machine gets what, decided from the state store."""

import hashlib
import hmac
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from metal.drivers.ports import Secrets
from metal.install.answers import Answers, answers
from metal.install.render import Templates, render_disk_script, render_preseed, render_script
from metal.inventory.defaults import defaults
from metal.live.desk import swapped
from metal.model.errors import BadInput, Failed, Refused
from metal.model.fleet import Fingerprint, Inventory
from metal.model.plan import InstallServer
from metal.operations.installs import Install
from metal.operations.store import Store

_FINGERPRINT: TypeAdapter[str] = TypeAdapter(Fingerprint)
BCRYPT_ROUNDS = 8
"""The password is random and long: a slow hash protects it no better."""


class DeskWorkspace(Protocol):
    """What the desk needs of a workspace."""

    @property
    def folder(self) -> Path: ...
    @property
    def state(self) -> Path: ...
    @property
    def inventory(self) -> Inventory: ...
    @property
    def store(self) -> Store: ...
    @property
    def secrets(self) -> Secrets: ...
    @property
    def boot_url(self) -> str: ...
    def mirror(self, site: str) -> str: ...


def token_of(disk_key: str) -> str:
    """The token of the install that `disk_key` was made for: 43 characters.

    Derived and not stored: one secret less to keep, and gone when the controller forgets the
    key. The key cannot be computed from it.
    """
    import base64

    digest = hmac.new(disk_key.encode(), b"metal: token of this key's install", hashlib.sha256)
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")


def hash_of(token: str) -> str:
    """What the state store knows of a token: SHA-256, hex."""
    return hashlib.sha256(token.encode()).hexdigest()


class Desk:
    """Implements netboot.Desk. Opens nothing before the first question."""

    def __init__(self, workspace: DeskWorkspace) -> None:
        self._workspace = workspace
        self._templates = Templates([workspace.folder, defaults()])

    def script(self, mac: str, uuid: str | None) -> str:
        """The installer's script while an install is open and its preseed not taken, else disk."""
        installs = self._workspace.store.installs
        server = installs.for_machine(mac, uuid)
        if server is None and uuid is not None:
            server = installs.for_machine(mac, swapped(uuid))
        install = installs.latest(server) if server else None
        if server is None or install is None:
            return render_disk_script(self._templates)
        token = token_of(self._secret(f"disk/{server}"))
        script = render_script(self._templates, self._answers(install), token)
        installs.report(hash_of(token), "script")
        return script

    def preseed(self, token: str) -> str | None:
        """Rendered first, then taken: what fails to render leaves the install as it was."""
        installs = self._workspace.store.installs
        install = installs.by_token(hash_of(token))
        if install is None:
            return None
        if install.taken:
            raise Refused("its answers were handed out already", where=install.server)
        text = self._preseed(install, token)
        installs.take(hash_of(token))
        return text

    def report(self, token: str, phase: str, details: dict[str, Any]) -> bool:
        """Only a machine that had its answers reports; `up` tells the node's certificate."""
        installs = self._workspace.store.installs
        install = installs.by_token(hash_of(token))
        if install and not install.taken:
            raise Refused("it has not had its answers yet", where=install.server)
        kept = _known(phase, details)
        try:
            installs.report(hash_of(token), phase, kept)
        except Refused:
            return False
        return True

    def file(self, suite: str, name: str) -> Path | None:
        file = self._workspace.state / "installer" / suite / name
        return file if file.is_file() else None

    def _preseed(self, install: Install, token: str) -> str:
        import bcrypt

        key = self._secret(f"disk/{install.server}")
        if not hmac.compare_digest(token_of(key), token):
            raise Failed(
                "the key that is held is not this install's",
                where=install.server,
                mend=f"metal run cancel {install.operation}, then plan it anew",
            )
        password = self._secret(f"root/{install.server}").encode()
        root_hash = bcrypt.hashpw(password, bcrypt.gensalt(BCRYPT_ROUNDS)).decode()
        return render_preseed(
            self._templates,
            self._answers(install),
            passphrase=key,
            root_hash=root_hash,
            token=token,
        )

    def _answers(self, install: Install) -> Answers:
        """For the action that the install's operation was opened for: the plan chose, not we."""
        workspace = self._workspace
        params = workspace.store.journal.show(install.operation).params
        action = InstallServer.model_validate(params["action"])
        mirror = workspace.mirror(action.site)
        return answers(workspace.inventory, action, mirror, workspace.boot_url)

    def _secret(self, name: str) -> str:
        secret = self._workspace.secrets.reveal(name)
        if secret is None:
            raise Failed(
                "its secret is not held here",
                where=name,
                mend="serve from the workspace whose state/ holds it, or plan the install anew",
            )
        return secret


def _known(phase: str, details: dict[str, Any]) -> dict[str, Any]:
    """What of a report is kept: nothing that was not asked for."""
    if phase != "up":
        return {}
    try:
        return {"fingerprint": _FINGERPRINT.validate_python(details.get("fingerprint"))}
    except ValidationError as error:
        raise BadInput(
            "a server that is up tells the fingerprint of its certificate: 32 hex pairs"
        ) from error
