"""Behind the boot service: which machine gets what, decided from the state store."""

import hmac
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from metal.drivers.authority import Authority
from metal.drivers.ports import Secrets
from metal.drivers.ssh import HOST_KEY
from metal.install.answers import Answers, answers
from metal.install.by_image import KIND
from metal.install.derived import TOLD, address_of, hash_of, proof_of, report_key_of, token_of
from metal.install.image import ImageSecrets, image_job, root_wanted
from metal.install.render import Templates, render_disk_script, render_preseed, render_script
from metal.inventory.defaults import defaults
from metal.live.desk import swapped
from metal.live.root import pinned
from metal.model.errors import BadInput, Failed, Refused
from metal.model.facts import Loader
from metal.model.fleet import Fingerprint, Inventory
from metal.model.plan import InstallServer
from metal.operations.installs import PHASES, Install
from metal.operations.jobs import Job
from metal.operations.store import Store

_FINGERPRINT: TypeAdapter[str] = TypeAdapter(Fingerprint)
PROVEN = ("finished", "up")
"""Phases whose reports tell by which keys the server is known."""
BCRYPT_ROUNDS = 8
"""The password is random and long: a slow hash protects it no better."""
_ANEW = "metal run cancel the operation, then plan the install anew"


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
    @property
    def boot_https_url(self) -> str: ...
    @property
    def authority(self) -> Authority: ...
    @property
    def controller_key(self) -> str: ...
    def mirror(self, site: str) -> str: ...


class Desk:
    """Implements netboot.Desk. Opens nothing before the first question."""

    def __init__(self, workspace: DeskWorkspace) -> None:
        self._workspace = workspace
        self._templates = Templates([workspace.folder, defaults()])

    def script(self, mac: str, uuid: str | None, loader: Loader = "ipxe") -> str:
        """The installer's script while an install is open and its preseed not taken, else disk."""
        installs = self._workspace.store.installs
        server = installs.for_machine(mac, uuid)
        if server is None and uuid is not None:
            server = installs.for_machine(mac, swapped(uuid))
        if server is None:
            installs.came_back(mac, uuid)
        install = installs.latest(server) if server else None
        if server is None or install is None or not _by_installer(self._action(install)):
            return render_disk_script(self._templates, loader)
        token = token_of(self._secret(f"disk/{server}"))
        script = render_script(self._templates, self._answers(install), token, loader)
        installs.report(hash_of(token), "script")
        return script

    def preseed(self, token: str) -> str | None:
        """Rendered first, then taken: what fails to render leaves the install as it was."""
        installs = self._workspace.store.installs
        install = installs.by_token(hash_of(token))
        if install is None or self._action(install).method == KIND:
            return None
        if install.taken:
            raise Refused("its answers were handed out already", where=install.server)
        text = self._preseed(install, token)
        installs.take(hash_of(token))
        return text

    def image_job(self, job: Job) -> dict[str, Any]:
        """What the live system is to do for the install that opened `job`: with its secrets, once.

        Rendered first, then taken, as the preseed is.
        """
        installs = self._workspace.store.installs
        install = installs.latest(job.server)
        if install is None or install.closed or install.operation != job.operation:
            raise Refused("its install is not open any more", where=job.server)
        told, key = self._answers(install), self._secret(f"disk/{job.server}")
        root = pinned(self._workspace.state, root_wanted(told))
        if root is None:
            raise Failed("the image that it unpacks is gone", where=job.server, mend=_ANEW)
        token = token_of(key)
        secrets = ImageSecrets(
            passphrase=key,
            root_hash=self._root_hash(job.server),
            token=token,
            report_key=report_key_of(key),
        )
        body = image_job(self._templates, told, root, secrets)
        installs.take(hash_of(token))
        return body

    def report(self, token: str, phase: str, details: dict[str, Any]) -> bool:
        """Only a machine that had its answers reports; by which keys it is known must be proven."""
        installs = self._workspace.store.installs
        install = installs.by_token(hash_of(token))
        if install and not install.taken:
            raise Refused("it has not had its answers yet", where=install.server)
        fresh = install and PHASES.index(phase) > PHASES.index(install.phase)
        kept = self._proven(install.server, phase, details) if install and fresh else {}
        try:
            installs.report(hash_of(token), phase, kept)
        except Refused:
            return False
        return True

    def _proven(self, server: str, phase: str, details: dict[str, Any]) -> dict[str, Any]:
        """What of a report is kept: nothing that was not asked for, nor without its proof."""
        if phase not in PROVEN:
            return {}
        told = {name: str(details.get(name, "")) for name in TOLD}
        proof = proof_of(report_key_of(self._secret(f"disk/{server}")), phase, told)
        if not hmac.compare_digest(proof.encode(), str(details.get("proof", "")).encode()):
            raise Refused("the report's proof does not hold", where=server)
        _check_told(phase, told)
        return told

    def file(self, suite: str, name: str) -> Path | None:
        file = self._workspace.state / "installer" / suite / name
        return file if file.is_file() else None

    def medium(self, server: str, address: str) -> Path | None:
        """The image for the open install of `server`, by an address that nobody can guess."""
        install = self._workspace.store.installs.latest(server)
        key = self._workspace.secrets.reveal(f"disk/{server}") if install else None
        if install is None or install.closed or key is None:
            return None
        if not hmac.compare_digest(address_of(key).encode(), address.encode()):
            return None
        file = medium_file(self._workspace.state, server, token_of(key))
        return file if file.is_file() else None

    def _preseed(self, install: Install, token: str) -> str:
        key = self._secret(f"disk/{install.server}")
        if not hmac.compare_digest(token_of(key), token):
            raise Failed(
                "the key that is held is not this install's",
                where=install.server,
                mend=f"metal run cancel {install.operation}, then plan it anew",
            )
        return render_preseed(
            self._templates,
            self._answers(install),
            passphrase=key,
            root_hash=self._root_hash(install.server),
            token=token,
            report_key=report_key_of(key),
            now=int(self._workspace.store.now()),
        )

    def _root_hash(self, server: str) -> str:
        import bcrypt

        password = self._secret(f"root/{server}").encode()
        return bcrypt.hashpw(password, bcrypt.gensalt(BCRYPT_ROUNDS)).decode()

    def _answers(self, install: Install) -> Answers:
        """For the action that the install's operation was opened for: the plan chose, not we."""
        return answers_of(self._workspace, self._action(install))

    def _action(self, install: Install) -> InstallServer:
        params = self._workspace.store.journal.show(install.operation).params
        return InstallServer.model_validate(params["action"])

    def _secret(self, name: str) -> str:
        secret = self._workspace.secrets.reveal(name)
        if secret is None:
            raise Failed(
                "its secret is not held here",
                where=name,
                mend="serve from the workspace whose state/ holds it, or plan the install anew",
            )
        return secret


def _by_installer(action: InstallServer) -> bool:
    """Whether it is Debian's installer that boots over the network."""
    return not action.by_medium and action.method != KIND


def medium_file(state: Path, server: str, token: str) -> Path:
    """Where the image is that the server's BMC fetches; each install has another."""
    return state / "media" / f"{server}.{hash_of(token)[:16]}.iso"


def answers_of(workspace: DeskWorkspace, action: InstallServer) -> Answers:
    """What the installer of `action` is told, over the wire or on its medium."""
    by_https = action.by_medium
    return answers(
        workspace.inventory,
        action,
        workspace.mirror(action.site),
        workspace.boot_https_url if by_https else workspace.boot_url,
        workspace.controller_key,
        workspace.authority.certificate if by_https else "",
    )


def _check_told(phase: str, told: dict[str, str]) -> None:
    """BadInput for keys that are none."""
    try:
        if phase == "up" and told["fingerprint"]:  # a plain Debian has no certificate
            _FINGERPRINT.validate_python(told["fingerprint"])
    except ValidationError as error:
        raise BadInput(
            "a server that is up tells the fingerprint of its certificate: 32 hex pairs"
        ) from error
    for name in ("host_key", "initramfs_key"):
        if not HOST_KEY.fullmatch(told[name]):
            raise BadInput(f"its {name} is no SSH host key")
