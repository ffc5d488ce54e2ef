"""One server takes another's place in its cluster; the other stands alone from then on."""

from pathlib import Path

from metal.inventory.edit import Change, Data
from metal.inventory.splice import Splicer
from metal.model.errors import Refused

CLUSTER_NAME = 15


def replacing(old: str, new: str) -> Change:
    """`new` must stand alone (in a cluster of its own) and comes into the place of `old`."""

    def make(splicer: Splicer, data: Data, file: Path) -> None:
        clusters = data["clusters"]
        home = next(name for name, c in clusters.items() if old in c["servers"])
        alone = next((name for name, c in clusters.items() if new in c["servers"]), None)
        if alone == home:
            return  # done already
        if alone is not None and clusters[alone]["servers"] != [new]:
            raise Refused(
                f"{new} is in the cluster {alone}", where=str(file), mend="choose another server"
            )
        servers = [new if name == old else name for name in clusters[home]["servers"]]
        clusters[home]["servers"] = servers
        splicer.update(("clusters", home), {"servers": servers})
        if alone is not None:
            del clusters[alone]
            splicer.remove_table(("clusters", alone))
        for vm, table in data.get("vms", {}).items():
            if old in table.get("home", ()):
                named = (new if name == old else name for name in table["home"])
                table["home"] = list(dict.fromkeys(named))
                splicer.update(("vms", vm), {"home": table["home"]})
        own = _free(old, clusters)
        clusters[own] = {"servers": [old], "ceph": False}
        splicer.append_table(("clusters", own), clusters[own], after=("clusters",))

    return Change(make)


def moved(vm: str, cluster: str) -> Change:
    """The VM is tied to another cluster; the servers of the old one are its home no more."""

    def make(splicer: Splicer, data: Data, file: Path) -> None:
        table = data["vms"][vm]
        table["cluster"] = cluster
        table.pop("home", None)
        splicer.update(("vms", vm), {"cluster": cluster, "home": None})

    return Change(make)


def standing_alone(server: str) -> Change:
    """It is in no cluster with others any more: one of its own, by its own name."""

    def make(splicer: Splicer, data: Data, file: Path) -> None:
        clusters = data["clusters"]
        home = next(name for name, c in clusters.items() if server in c["servers"])
        if clusters[home]["servers"] == [server]:
            return
        servers = [name for name in clusters[home]["servers"] if name != server]
        clusters[home]["servers"] = servers
        splicer.update(("clusters", home), {"servers": servers})
        own = _free(server, clusters)
        clusters[own] = {"servers": [server], "ceph": False}
        splicer.append_table(("clusters", own), clusters[own], after=("clusters",))

    return Change(make)


def _free(server: str, clusters: Data) -> str:
    name, number = server[:CLUSTER_NAME].rstrip("-"), 1
    while name in clusters:
        number += 1
        name = f"{server[: CLUSTER_NAME - len(str(number)) - 1].rstrip('-')}-{number}"
    return name
