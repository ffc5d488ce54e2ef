"""Install from an image: the live system boots, has the install as its job, and unpacks.

Another way to the same phases: the machine tells them as the installer does, the desk hands its
job out once (metal/install/desk.py), and what the live system says of itself is its progress.
"""

from metal.install.ports import InstallPorts
from metal.live.session import START, Ended, LiveSession
from metal.model.errors import Failed
from metal.model.plan import InstallServer
from metal.operations.run import Run

KIND = "image"
"""Of the live system's job. In the store it is all that the job says: the rest holds secrets."""
SLOW = {"unpack": 3 * 3600.0, "late": 3600.0}
"""Phase → seconds beyond the ordinary patience: a thin line, an initramfs built by an old CPU."""


def install_image(run: Run, action: InstallServer, ports: InstallPorts) -> None:
    """The image is on the disk, and the machine restarts from it; Failed, with what it said."""
    assert ports.live is not None
    session = LiveSession(run, action.server, ports.live)
    session.start((action.mac,), action.uuid, {"kind": KIND})
    ended = session.follow(
        "wait for the image", until=None, limit=lambda phase: SLOW.get(phase, 0.0)
    )
    assert ended is not None, "no phase was waited for"
    if not ended.ok:
        raise Failed(
            f"the image was not installed: {_told(ended)}",
            where=action.server,
            mend="mend what it says, then plan it anew: its disk is not whole",
        )
    run.step("close the job", lambda: ports.store.jobs.close(run.id))


def _told(ended: Ended) -> str:
    if ended.died_in is None:
        return ended.why or "it did not say why"
    where = "before it began" if ended.died_in == START else f"in the phase {ended.died_in}"
    return f"{ended.why} {where}"
