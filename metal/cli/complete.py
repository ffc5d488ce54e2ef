"""What the shell offers after Tab: names out of the inventory, read without checking it."""

import os
import tomllib
from pathlib import Path

import click


def servers(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The inventory's servers that begin with what was typed; nothing if it cannot be read."""
    return [name for name in _names(_folder(ctx), "servers") if name.startswith(incomplete)]


def sites(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The inventory's sites, likewise."""
    return [name for name in _names(_folder(ctx), "sites") if name.startswith(incomplete)]


def clusters(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The inventory's clusters, likewise."""
    return [name for name in _names(_folder(ctx), "clusters") if name.startswith(incomplete)]


def _folder(ctx: click.Context) -> Path:
    named = getattr(ctx.find_root().obj, "workspace", None)
    return Path(named or os.environ.get("METAL_WORKSPACE") or ".").absolute()


def _names(start: Path, table: str) -> list[str]:
    for folder in (start, *start.parents):
        file = folder / "inventory.toml"
        try:
            return list(tomllib.loads(file.read_text(encoding="utf-8")).get(table, {}))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            return []
    return []
