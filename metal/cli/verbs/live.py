"""`metal live`: the small system that burn-ins, wipes and installs from an image run in."""

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.group("live")
def command() -> None:
    """The small Debian that servers run from memory: to be tested, wiped, installed."""


@command.command("build", cls=Verb)
@click.option("--site", metavar="NAME", help="Whose mirror to use.  [default: the first site's]")
@click.pass_obj
def build(face: Face, site: str | None) -> None:
    """Build it from what the Debian mirror has now; nothing to do if that is built already.

    And with it what the site's servers of method = "image" are installed from. Needs mmdebstrap
    and zstd, about two minutes and 1 GiB each. Burn-ins and installs build what they need where
    there is none; this brings it up to date.
    """
    from metal.controller.images import build_roots
    from metal.controller.live_work import build_live

    workspace = face.open()
    site = site or next(iter(workspace.inventory.sites))
    with face.progress() as progress:
        progress.begin("live", "build the live system")
        image = build_live(workspace, site, lambda text: progress.advance("live", 0.3, text))
        roots = build_roots(workspace, site, lambda text: progress.advance("live", 0.7, text))
        progress.end("live", True, "")
    sizes = f"kernel {image.linux_bytes / 1e6:.0f} MB, initrd {image.initrd_bytes / 1e6:.0f} MB"
    lines = [f"{image.key}  Debian {image.suite}, Linux {image.kernel}, {sizes}"]
    lines += [f"{r.key}  Debian {r.suite} to install, {r.bytes / 1e6:.0f} MB" for r in roots]
    face.show(lines, {"live": image, "roots": roots})


@command.command("show", cls=Verb)
@click.pass_obj
def show(face: Face) -> None:
    """Which one is in use, and what is in it."""
    from metal.live.build import current
    from metal.model.errors import Refused

    image = current(face.open().state)
    if image is None:
        raise Refused("none was built yet", mend="metal live build")
    lines = [f"{image.key}  Debian {image.suite}, Linux {image.kernel}, built {image.built}"]
    lines += [f"  {name} {version}" for name, version in sorted(image.packages.items())]
    face.show(lines, image)
