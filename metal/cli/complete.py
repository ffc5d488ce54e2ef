"""What the shell offers after Tab: names out of the inventory, read without checking it."""

import os
import tomllib
from pathlib import Path

import click


def servers(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The inventory's servers that begin with what was typed; nothing if it cannot be read."""
    return [name for name in _names(_folders(ctx), "servers") if name.startswith(incomplete)]


def sites(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The inventory's sites, likewise."""
    return [name for name in _names(_folders(ctx), "sites") if name.startswith(incomplete)]


def clusters(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The inventory's clusters, likewise."""
    return [name for name in _names(_folders(ctx), "clusters") if name.startswith(incomplete)]


def _folders(ctx: click.Context) -> list[Path]:
    """Where a workspace may be: the one that was named, else here and above."""
    named = getattr(ctx.find_root().obj, "workspace", None) or os.environ.get("METAL_WORKSPACE")
    if named not in (None, "", "."):
        return [Path(named)]
    here = Path.cwd()
    return [here, *here.parents]


def _names(folders: list[Path], table: str) -> list[str]:
    for folder in folders:
        file = folder / "inventory.toml"
        try:
            return list(tomllib.loads(file.read_text(encoding="utf-8")).get(table, {}))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            return []
    return []
