"""An install from an image: what the live system gets and tells, over HTTP and a real store."""

import hashlib
import re
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from metal.drivers.netboot import boot_app
from metal.drivers.web import WebServer
from metal.install.by_image import KIND
from metal.install.derived import proof_of, token_of
from metal.install.desk import Desk, answers_of
from metal.install.flow import install
from metal.install.image import root_wanted
from metal.live import build, root, session
from metal.live.build import LiveImage
from metal.live.desk import LiveDesk
from metal.live.root import RootImage
from metal.live.session import LivePorts
from metal.model.life import Life, Status
from metal.operations.run import perform

KEY, TAR = "0123456789abcdef", b"a root"
ABOUT = {"key": KEY, "suite": "trixie", "mirror": "http://m", "built": "now", "packages": {}}
QUICK = session.Patience(boot=5, silence=5, phase=5, poll=0.01)


class Live:
    """The live system on the machine: it takes its job, and does as `acts` says."""

    def __init__(self, site, acts):
        self.site, self.acts, self.jobs = site, acts, []

    def __call__(self, _machine, boot):
        if boot.device != "network":
            return
        script = self.get(f"/boot?mac={self.site.action.mac}").text
        found = re.search(r"metal\.job=(\S+)", script)
        if not found:
            return
        answer = self.get(f"/job/{found[1]}")
        if answer.status_code == 200:
            self.jobs.append(answer.json())
            with suppress(PowerCut):
                end = self.acts(self, answer.json())
                self.post(f"/job/{found[1]}/end", json=end)

    def get(self, path):
        return requests.get(self.site.boot_url + path, timeout=5)

    def post(self, path, **body):
        return requests.post(self.site.boot_url + path, timeout=5, **body)

    def report(self, job, phase, pin=""):
        told = {"fingerprint": pin, **self.doors}
        key = "".join(re.findall(r"(?:inner|outer)=([0-9a-f]{64})", job["late"]))
        told["proof"] = proof_of(key, phase, told)
        return requests.post(f"{job['report']}/{phase}", data=told, timeout=5)


def installs(live, job):
    """All of it, up to the first boot; its Debian is a plain one."""
    tar = live.get(job["root"]["path"]).content
    assert hashlib.blake2b(tar).hexdigest() == job["root"]["blake2b"]
    for phase in ("partitioned", "base"):
        assert requests.post(f"{job['report']}/{phase}", timeout=5).ok
    disk = live.site.disk
    disk.luks_uuid, disk.wipes = str(uuid4()), disk.wipes + 1
    disk.luks_slots = {0: hashlib.sha256(job["passphrase"].encode()).hexdigest()}
    assert live.report(job, "finished").ok
    threading.Timer(0.05, lambda: live.report(job, "up")).start()
    return {"ok": True}


@pytest.fixture
def by_image(site, made):
    """The site's server is to be installed from an image, which is there."""
    servers = {"alba1": site.inventory.servers["alba1"].model_copy(update={"method": KIND})}
    site.inventory = site.inventory.model_copy(update={"servers": servers})
    _write(site.state / "live" / KEY, LiveImage(kernel="6", linux_bytes=1, initrd_bytes=1, **ABOUT))
    (site.state / "live" / "current").symlink_to(KEY)
    desk = Desk(site)
    service = WebServer(
        boot_app(desk, live=LiveDesk(site, {KIND: desk.image_job})), "127.0.0.1"
    ).start()
    site.boot_url = service.url
    image = RootImage(blake2b=hashlib.blake2b(TAR).hexdigest(), bytes=len(TAR), **ABOUT)
    folder = site.state / "image" / KEY
    _write(folder, image)
    (folder / root.FILE).write_bytes(TAR)
    wanted = root_wanted(answers_of(site, site.action))
    (site.state / "image" / f"for-{wanted.digest}").symlink_to(KEY)
    yield site
    service.stop()


def _write(folder: Path, manifest):
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(manifest.model_dump_json())


def begin(site, made, acts, patience=QUICK):
    """(how the install ended, the live system)"""
    live = site.machine.on_boot = Live(site, acts)
    live.doors = made.doors
    ports = site.ports
    there = LivePorts(
        site.store, ports.bmc, lambda _: None, lambda _: ports.power, lambda: True, patience
    )
    ports = replace(ports, live=there, fetch=lambda: None)
    return perform(site.store, site.open(), lambda run: install(run, site.action, ports)), live


def test_an_enrolled_server_becomes_an_installed_one(by_image, made):
    outcome, live = begin(by_image, made, installs)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    record = by_image.store.servers.get("alba1")
    assert (record.life, record.node_fingerprint) == (Life.INSTALLED, None)
    assert by_image.host_keys.of("alba1", "system") == (made.doors["host_key"],)
    (job,) = live.jobs
    final = by_image.administrator_opens("disk/alba1")
    assert list(by_image.disk.luks_slots.values()) == [hashlib.sha256(final.encode()).hexdigest()]
    assert job["passphrase"] != final, "what crossed the wire is a throw-away"
    assert build.current(by_image.state) is not None


def test_no_secret_of_it_is_in_the_database(by_image, made):
    _, live = begin(by_image, made, installs)
    secrets = (live.jobs[0]["passphrase"], token_of(live.jobs[0]["passphrase"]))
    files = [f for f in by_image.folder.rglob("*") if f.is_file()]
    assert any(f.name == "metal.db" for f in files)
    for secret in secrets:
        assert not [f for f in files if secret.encode() in f.read_bytes()]


def test_what_the_machine_says_of_its_failure_is_why_it_failed(by_image, made):
    outcome, live = begin(by_image, made, lambda *_: {"ok": False, "why": "Unfit: no such disk"})
    assert outcome.status is Status.FAILED
    assert "Unfit: no such disk" in outcome.error
    assert len(live.jobs) == 1 and by_image.disk.wipes == 0


def test_the_job_is_handed_out_once_and_the_disk_boots_from_then_on(by_image, made):
    again = []

    def asks_again(live, job):
        script = live.get(f"/boot?mac={by_image.action.mac}").text
        again.append("sanboot" in script)
        return installs(live, job)

    outcome, live = begin(by_image, made, asks_again)
    assert outcome.status is Status.DONE
    assert again == [True] and len(live.jobs) == 1


def test_its_answers_are_not_a_preseed(by_image, made):
    """Whoever has the token of an install from an image gets no installer's answers by it."""
    seen = []

    def looks(live, job):
        seen.append(live.get(f"/preseed/{token_of(job['passphrase'])}").status_code)
        return installs(live, job)

    begin(by_image, made, looks)
    assert seen == [404]


@pytest.mark.parametrize(
    "path", ["0123456789abcdee/root.tar.zst", f"{KEY}/manifest.json", "../../secrets/root.tar.zst"]
)
def test_nothing_else_is_served_as_an_image(by_image, path):
    assert requests.get(f"{by_image.boot_url}/image/{path}", timeout=5).status_code == 404


@pytest.mark.parametrize("told", [(), ("partitioned",), ("partitioned", "base")])
def test_power_cut_in_every_phase(by_image, made, told):
    """The machine is silent from then on. Nothing is wiped twice; planned anew it is installed."""
    boots = []

    def dies(live, job):
        boots.append(job["passphrase"])
        for phase in told:
            assert requests.post(f"{job['report']}/{phase}", timeout=5).ok
        live.site.disk.wipes += bool(told)
        live.site.machine.power_off()
        raise PowerCut

    quick = session.Patience(boot=0.3, silence=0.3, phase=1, poll=0.01)
    outcome, _ = begin(by_image, made, dies, quick)
    assert outcome.status is Status.FAILED and "was not installed" in outcome.error
    assert begin(by_image, made, dies, quick)[0].status is Status.FAILED
    assert len(boots) == 1, "its answers were handed out once"
    first = by_image.administrator_opens("disk/alba1")
    assert boots == [first], "whatever is on the disk, its key is escrowed"
    by_image.store.journal.cancel(by_image.store.journal.list()[0].id)
    assert begin(by_image, made, installs)[0].status is Status.DONE
    assert by_image.disk.wipes == bool(told) + 1
    assert by_image.administrator_opens("disk/alba1") != first


class PowerCut(Exception):
    """What the machine was at ends here."""
