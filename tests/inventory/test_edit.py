"""Edits keep every comment and give the edited model; they never lose one another."""

import re
import stat
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metal.inventory import InventoryErrors, load
from metal.inventory.edit import add_server, record_server
from metal.inventory.splice import Splicer, render
from metal.model.errors import BadInput, Failed, Refused
from metal.model.fleet import Disk, Learned

TOP = Path(__file__).resolve().parents[2]
BASE = Path(__file__).with_name("base.toml").read_text()
PIN = ":".join(["0A", "F1"] * 16)

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
MAYBE_INT = st.none() | st.integers(1, 4096)
# Other than the base's, which are rio3's.
MACS = st.integers(16, 255).map(lambda n: f"02:00:5e:00:00:{n:02x}")
DISKS = st.builds(
    Disk,
    name=WORDS,
    size_gib=st.integers(1, 20000),
    media=st.sampled_from([None, "ssd", "hdd", "nvme"]),
    serial=st.none() | WORDS,
)
LEARNED = st.builds(
    Learned,
    vendor=st.none() | WORDS,
    model=st.none() | WORDS,
    serial=st.none() | WORDS,
    uuid=st.none() | WORDS,
    cpu=st.none() | WORDS,
    cores=MAYBE_INT,
    threads=MAYBE_INT,
    memory_gib=MAYBE_INT,
    macs=st.lists(MACS, max_size=4, unique=True).map(tuple),
    disks=st.lists(DISKS, max_size=4).map(tuple),
)
BMC = st.fixed_dictionaries(
    {},
    optional={
        "fingerprint": st.sampled_from([None, PIN]),
        "cipher_suite": st.sampled_from([None, 3, 17]),
        "user": st.sampled_from([None, "metal", "root"]),
        "protocol": st.sampled_from(["redfish", "ipmi"]),
        "port": st.none() | st.integers(1, 65535),
    },
)


def comments(text: str) -> Counter[str]:
    """Each comment and how often it is there; no string of ours holds a #."""
    return Counter(m.strip() for m in re.findall(r"#.*", text))


def text_of(workspace: Path) -> str:
    return (workspace / "inventory.toml").read_text()


def hashless(learned: Learned) -> bool:
    return "#" not in learned.model_dump_json()


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["rio1", "rio2", "rio3", "zee1"]), LEARNED.filter(hashless), BMC),
        min_size=1,
        max_size=3,
        unique_by=lambda edit: edit[0],
    )
)
def test_every_comment_survives_and_the_model_is_the_edited_one(
    edits: list[tuple[str, Learned, dict[str, Any]]],
) -> None:
    with TemporaryDirectory() as folder:
        workspace = Path(folder)
        (workspace / "inventory.toml").write_text(BASE)
        servers = dict(load(workspace).servers)
        taken: set[str] = set()
        for name, learned, bmc in edits:
            own = tuple(m for m in learned.macs if m not in taken)
            learned = learned.model_copy(update={"macs": own})
            taken |= set(own)
            record_server(workspace, name, learned, bmc)
            once = text_of(workspace)
            record_server(workspace, name, learned, bmc)
            assert text_of(workspace) == once, "the same again leaves the file as it is"
            old = servers[name]
            kept = old.bmc.model_dump(exclude_unset=True) | bmc
            kept = {k: v for k, v in kept.items() if v is not None}
            servers[name] = old.model_copy(
                update={"learned": learned, "bmc": type(old.bmc)(**kept)}
            )
        assert load(workspace).servers == servers
        assert comments(BASE) <= comments(text_of(workspace))
        order = re.findall(r"^\[servers\.(\w+)\]", text_of(workspace), re.MULTILINE)
        assert order == ["rio1", "rio2", "rio3", "zee1"]


def test_laid_out_for_reading(workspace: Path) -> None:
    disks = (Disk(name="Bay 0", size_gib=223, media="ssd", serial="S1"), Disk(name="b", size_gib=9))
    learned = Learned(vendor="Dell", cores=16, macs=("02:00:5e:00:00:11",) * 2, disks=disks)
    record_server(workspace, "rio1", learned, {"fingerprint": PIN})
    assert f'''
[servers.rio1]
site = "porto"
rack = "A"
profile = "ceph-node"
address = "10.1.1.11"
# the loud one

[servers.rio1.bmc]
address = "10.1.0.11"
protocol = "redfish"
fingerprint = "{PIN}"

[servers.rio1.learned]
vendor = "Dell"
cores = 16
macs = ["02:00:5e:00:00:11", "02:00:5e:00:00:11"]
disks = [
    {{ name = "Bay 0", size_gib = 223, media = "ssd", serial = "S1" }},
    {{ name = "b", size_gib = 9 }},
]

[servers.rio2]
''' in text_of(workspace)


def test_what_is_added_stands_before_the_next_servers_comment(workspace: Path) -> None:
    record_server(workspace, "rio2", Learned(vendor="X"), {})
    assert '[servers.rio2.learned]\nvendor = "X"\n\n# The oldest.\n[servers.rio3]' in text_of(
        workspace
    )


def test_other_line_ends_and_modes_stay(workspace: Path) -> None:
    file = workspace / "inventory.toml"
    file.write_bytes(BASE.replace("\n", "\r\n").encode())
    file.chmod(0o640)
    record_server(workspace, "rio1", Learned(vendor="X"), {"user": "root"})
    assert b"\n" not in file.read_bytes().replace(b"\r\n", b"")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [p.name for p in workspace.iterdir()] == ["inventory.toml"]
    learned = load(workspace).servers["rio1"].learned
    assert learned is not None and learned.vendor == "X"


@pytest.mark.parametrize(
    "server",
    [
        'a = { site = "s", bmc = { address = "x" } }',
        '"a" = { bmc = { address = "x" }, site = "s" } # last',
    ],
)
def test_a_server_written_inline(server: str) -> None:
    splicer = Splicer(f"[servers]\n{server}\n[x]\ny = 1\n")
    splicer.update(("servers", "a", "learned"), {"macs": ["m"], "cores": None})
    splicer.update(("servers", "a", "bmc"), {"address": "x"})
    assert tomllib.loads(splicer.result())["servers"]["a"] == {
        "site": "s",
        "bmc": {"address": "x"},
        "learned": {"macs": ["m"]},
    }


@given(WORDS | st.integers() | st.booleans() | st.lists(WORDS))
def test_what_is_rendered_reads_back(value: Any) -> None:
    assert tomllib.loads(f"v = {render(value)}")["v"] == value


def test_a_new_server_joins_a_cluster_or_is_its_own(workspace: Path) -> None:
    where: dict[str, Any] = {"site": "porto", "rack": "A", "profile": "ceph-node"}
    bmc = {"address": "10.1.0.14", "protocol": "ipmi", "port": None}
    add_server(workspace, "rio4", **where, address="10.1.1.14", bmc=bmc, cluster="rio")
    add_server(
        workspace, "solo", **where, unit=9, address="10.1.1.15", bmc={"address": "10.1.0.15"}
    )
    inventory = load(workspace)
    assert inventory.clusters["rio"].servers == ("rio1", "rio2", "rio3", "rio4")
    assert inventory.clusters["solo"].servers == ("solo",) and not inventory.clusters["solo"].ceph
    assert list(inventory.servers)[-2:] == ["rio4", "solo"]
    assert comments(BASE) == comments(text_of(workspace))
    with pytest.raises(Refused, match="rio4 already"):
        add_server(workspace, "rio4", **where, address="10.1.1.16", bmc=bmc)


def test_bad_edits_change_nothing(workspace: Path) -> None:
    twice = Learned(macs=("02:00:5e:00:00:03",))
    with pytest.raises(InventoryErrors, match="a network card of server"):
        record_server(workspace, "rio1", twice, {})
    with pytest.raises(BadInput, match="did you mean `rio1`"):
        record_server(workspace, "rio11", Learned(), {})
    with pytest.raises(BadInput) as caught:
        record_server(workspace, "rio1", Learned(), {"password": "hunter22"})
    assert "password" in str(caught.value) and "hunter22" not in str(caught.value)
    with pytest.raises(InventoryErrors, match="outside `porto"):
        add_server(
            workspace,
            "rio4",
            site="porto",
            rack="A",
            profile="solo",
            address="10.9.9.9",
            bmc={"address": "10.1.0.14"},
        )
    assert text_of(workspace) == BASE


def test_a_broken_inventory_is_not_edited(workspace: Path) -> None:
    (workspace / "inventory.toml").write_text(BASE + "x = \n")
    with pytest.raises(InventoryErrors, match="is not TOML"):
        record_server(workspace, "rio1", Learned(), {})


def test_a_full_disk_leaves_the_old_file(workspace: Path) -> None:
    """The kernel itself refuses to write more than 4 KiB to a file."""
    (workspace / "inventory.toml").write_text(BASE + "# filler\n" * 400)
    before = text_of(workspace)
    code = f"""
import resource, signal, sys
from pathlib import Path
from metal.inventory.edit import record_server
from metal.model.errors import Failed
from metal.model.fleet import Learned
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    record_server(Path({str(workspace)!r}), "rio1", Learned(vendor="X"), {{}})
except Failed as error:
    sys.exit(0 if "cannot be written" in str(error) else 3)
sys.exit(2)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=TOP, check=False)
    assert done.returncode == 0
    assert text_of(workspace) == before
    assert [p.name for p in workspace.iterdir()] == ["inventory.toml"]


def test_two_processes_lose_no_edit(workspace: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from metal.inventory.edit import record_server
from metal.model.fleet import Learned
for i in range(15):
    record_server(Path({str(workspace)!r}), sys.argv[1], Learned(vendor=f"v{{i}}", cores=i), {{}})
"""
    names = ["rio1", "rio2", "zee1"]
    running = [subprocess.Popen([sys.executable, "-c", code, n], cwd=TOP) for n in names]
    assert [p.wait(timeout=60) for p in running] == [0, 0, 0]
    for name in names:
        learned = load(workspace).servers[name].learned
        assert learned is not None and learned.vendor == "v14"


def test_a_style_it_cannot_edit_is_said(workspace: Path) -> None:
    dotted = BASE.replace('bmc = { address = "10.2.0.11" }', 'bmc.address = "10.2.0.11"')
    (workspace / "inventory.toml").write_text(dotted)
    with pytest.raises(Failed, match="header of its own"):
        record_server(workspace, "zee1", Learned(), {"user": "root"})
    assert text_of(workspace) == dotted
