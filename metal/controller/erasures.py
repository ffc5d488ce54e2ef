"""erasures/: the signed records that donors get, one disk each.

NAME.json is the record, NAME.txt the same for people; each has its signature beside it (.sig),
made with the controller's SSH key. `allowed_signers` is what a donor checks them with.
"""

import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from metal.controller.workspace import Workspace
from metal.drivers.durable import replace_file
from metal.drivers.signing import NAMESPACE, check, sign, signers
from metal.drivers.ssh import controller_key
from metal.model.erasure import Erasure, text_of
from metal.model.errors import BadInput, Failed, Refused

HOW = """
Whether this text is as we wrote it anybody can check, with OpenSSH 8.1 or newer:

  ssh-keygen -Y verify -f allowed_signers -I {identity} -n {namespace} -s {name}.sig < {name}

allowed_signers holds our public key; ask us for it by another way than this text came:

  {public}
"""


def prepare(workspace: Workspace) -> None:
    """Records can be kept: asked before a disk is erased of which none could be written."""
    signers_of = signers(identity_of(workspace), controller_key(workspace.state)[1])
    _write(workspace.folder / "erasures" / "allowed_signers", signers_of.encode())


def keep(workspace: Workspace, record: Erasure) -> Path:
    """Write and sign the record; its .json. The same record again gives the same files."""
    prepare(workspace)
    folder = workspace.folder / "erasures"
    key, public = controller_key(workspace.state)
    identity = identity_of(workspace)
    stem = stem_of(record)
    how = HOW.format(identity=identity, namespace=NAMESPACE, name=f"{stem}.txt", public=public)
    texts = {
        f"{stem}.json": record.model_dump_json(indent=2) + "\n",
        f"{stem}.txt": text_of(record) + how,
    }
    for name, text in texts.items():
        content = text.encode()
        _write(folder / f"{name}.sig", sign(content, key))
        _write(folder / name, content)
    return folder / f"{stem}.json"


def stem_of(record: Erasure) -> str:
    """What the record's files are called; the disks of one operation have one each."""
    about = (record.recorded[:10], record.server, _plain(record.disk_serial), record.operation)
    return "-".join(map(str, about))


def _write(file: Path, content: bytes) -> None:
    try:
        replace_file(file, content)
    except OSError as error:
        raise Failed(
            f"cannot be written: {error.strerror}",
            where=str(file),
            mend="make room or correct the permissions, then run the same command again: what was "
            "erased is not erased twice",
        ) from error


def verify(workspace: Workspace, file: Path) -> Erasure | None:
    """The record in `file`, which is as it was signed; None for a text. Refused otherwise."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(file)) from None
    signature = file.with_name(f"{file.name}.sig")
    if not signature.is_file():
        raise BadInput("there is no signature beside it", where=str(signature))
    check(content, signature, _signer(workspace), identity_of(workspace))
    return Erasure.model_validate_json(content) if file.suffix == ".json" else None


def erased_on(workspace: Workspace) -> dict[str, str]:
    """Serial number → the last day of which a record says that the disk was erased.

    Signatures are not looked at, and files that are no records are left out: it is a hint.
    """
    days: dict[str, str] = {}
    for file in sorted((workspace.folder / "erasures").glob("*.json")):
        with suppress(OSError, ValueError):
            record = Erasure.model_validate_json(file.read_bytes())
            if record.result == "erased":
                days[record.disk_serial] = record.recorded[:10]
    return days


def _signer(workspace: Workspace) -> str:
    """The key that signs here; none is made to look at a record."""
    if not (workspace.state / "controller_ssh").is_file():
        raise Refused(
            "nothing was ever signed in this workspace",
            where=str(workspace.folder),
            mend="-C names the one that the record was made in",
        )
    return controller_key(workspace.state)[1]


def identity_of(workspace: Workspace) -> str:
    fleet = workspace.inventory.fleet
    return f"metal@{fleet.name}.{fleet.domain}"


def _plain(serial: str) -> str:
    """Fit for a file's name. What is lost on the way is made up for by a digest: "WD/1" and "WD 1"
    are two disks."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", serial)[:64]
    if plain == serial:
        return plain
    return f"{plain}-{sha256(serial.encode(errors='surrogatepass')).hexdigest()[:8]}"
