"""The roots that installs from an image unpack: the pinned ones, and bringing them up to date."""

from metal.controller.workspace import Workspace
from metal.install.by_image import KIND
from metal.install.desk import answers_of
from metal.install.image import root_wanted
from metal.install.plan import plan_installs
from metal.live.bootstrap import Say
from metal.live.root import RootImage, RootWanted, ensure_root, pinned
from metal.model.life import Life
from metal.model.plan import InstallServer
from metal.model.world import SeenServer, World


def have_root(workspace: Workspace, action: InstallServer) -> None:
    """The one that is pinned will do: `metal live build` brings it up to date."""
    wanted = root_wanted(answers_of(workspace, action))
    if pinned(workspace.state, wanted) is None:
        ensure_root(workspace.state, wanted)


def build_roots(workspace: Workspace, site: str, say: Say) -> list[RootImage]:
    """Every root that servers of the site install from, of what the mirror has now."""
    anybody = SeenServer(life=Life.ENROLLED)
    world = World(servers=dict.fromkeys(workspace.inventory.servers, anybody))
    wanted: dict[str, RootWanted] = {}
    for action in plan_installs(workspace.inventory, world)[0]:
        if action.method == KIND and action.site == site:
            told = root_wanted(answers_of(workspace, action))
            wanted[told.digest] = told
    return [ensure_root(workspace.state, told, say=say) for told in wanted.values()]
