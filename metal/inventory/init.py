"""`metal init`: a new workspace of the same shape as the repository's top."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from metal.inventory.apt import apt_mirror
from metal.inventory.defaults import defaults
from metal.inventory.keys import key_problem
from metal.inventory.slugs import slug
from metal.model.errors import Failed, Refused

FOLDERS = ("profiles", "pxe", "preseed")
"""Copied from what comes with metal: they are the operator's to change."""
NO_KEY = "put your own public key here"
GITIGNORE = """\
# The controller's own: its key, its journal, what it holds for unattended use.
/state/
# Rehearsals.
/.lab/
# Donors' lists: there are passwords in them.
*.csv
"""


EXAMPLES = "# ── Sites"
"""Where the starter inventory's examples begin."""


def init(
    folder: Path, *, root: Path = Path("/"), home: Path | None = None, bare: bool = False
) -> list[Path]:
    """Make a workspace in `folder`; returns every file written, in order of writing.

    The Debian mirror is read from the apt sources below `root`, the first administrator's
    public key from `home`/.ssh; where there is none the inventory says so. `bare` leaves the
    examples of sites, servers, clusters and VMs out, and calls the fleet as the folder is called:
    by that name a cluster tells its workspaces' tokens apart. Refused, with
    nothing written, if anything of that name exists; Failed if it can't be written.
    """
    wanted = ("inventory.toml", ".gitignore", *FOLDERS)
    if there := [name for name in wanted if (folder / name).exists()]:
        raise Refused(
            f"there is {', '.join(there)} already; nothing is overwritten",
            where=str(folder),
            mend="name an empty folder, or move those away",
        )
    text = _starter(apt_mirror(root), _public_key(home), folder.resolve().name if bare else None)
    try:
        return list(_write(folder, text))
    except OSError as error:
        raise Failed(
            f"the workspace cannot be written: {error.strerror}",
            where=str(error.filename or folder),
            mend="make room or correct the permissions, remove what is there, and try again",
        ) from error


def _write(folder: Path, inventory: str) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("inventory.toml", inventory), (".gitignore", GITIGNORE)):
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text)
        yield folder / name
    for name in FOLDERS:
        if (defaults() / name).is_dir():
            shutil.copytree(defaults() / name, folder / name)
            yield from sorted(p for p in (folder / name).rglob("*") if p.is_file())


def _starter(mirror: str | None, key: str | None, bare: str | None) -> str:
    """The starter inventory; `bare` leaves the examples out, and is its name then.

    `json.dumps` writes a string as TOML does.
    """
    line = (
        f"# Read from this machine's apt sources.\nmirror = {json.dumps(mirror)}"
        if mirror
        else "# This machine's apt sources name no Debian mirror; installs need one:\n"
        '# mirror = "http://MIRROR/debian"'
    )
    text = (Path(__file__).parent / "starter.toml").read_text(encoding="utf-8")
    if bare is not None:
        text = text.partition(EXAMPLES)[0].rstrip() + "\n"
        text = text.replace("A fleet of three servers at one site", "A fleet without servers yet")
        text = text.replace('name = "starter"', f'name = "{slug(bare, else_="fleet")}"')
    quoted = json.dumps(key or NO_KEY, ensure_ascii=False)
    return text.replace("@MIRROR@", line).replace('"@KEY@"', quoted)


def _public_key(home: Path | None) -> str | None:
    """The first SSH public key that age can encrypt to, ed25519 preferred."""
    for name in ("id_ed25519.pub", "id_rsa.pub"):
        try:
            key = ((home or Path.home()) / ".ssh" / name).read_text(encoding="utf-8").strip()
        except (OSError, ValueError, RuntimeError):
            continue
        if "\n" not in key and key_problem(key) is None:
            return key
    return None
