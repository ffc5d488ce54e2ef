"""The files that come with `metal`: inventory.toml, profiles/, pxe/, preseed/.

In a wheel they lie in metal/defaults/ (pyproject.toml, force-include); in a checkout at the top.
A workspace's own file wins over them.
"""

from pathlib import Path

import metal
from metal.model.errors import Failed


def defaults() -> Path:
    """The folder that holds the packaged files."""
    package = Path(metal.__file__).parent
    for folder in (package / "defaults", package.parent):
        if (folder / "profiles" / "vms.toml").is_file():
            return folder
    raise Failed(
        "the files that come with metal are missing",
        where=str(package / "defaults"),
        mend="install metal again: a wheel or a checkout holds profiles/, pxe/ and preseed/",
    )


def default_file(name: str) -> Path:
    """A packaged file or folder such as "preseed/recipes/luks-lvm"; it may not exist."""
    return defaults() / name


def own_or_default(workspace: Path, name: str) -> Path:
    """The workspace's file or folder of that name, the packaged one where it has none."""
    own = workspace / name
    return own if own.exists() else default_file(name)
