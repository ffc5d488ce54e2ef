"""Installed from an image in the BMC's virtual drive, or from a stick: and what goes wrong."""

import hashlib
import shutil
import threading
from dataclasses import replace

import pytest
import requests

from metal.drivers.iso import GRUB
from metal.drivers.netboot import boot_app
from metal.drivers.web import WebServer
from metal.install.desk import Desk
from metal.install.medium import make_medium
from metal.model.errors import Failed, Unreachable
from metal.model.life import Life, Status
from metal.operations.run import perform

TOOLS = ("xorriso", "mformat", "mcopy", "grub-mkimage")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)) or not (GRUB / "i386-pc").is_dir(),
    reason="needs xorriso mtools grub-common grub-pc-bin grub-efi-amd64-bin",
)
STEPS = 28
"""Of the flow with a virtual drive, when all goes well."""
QUICK = {"boot": 0.3, "preseed": 0.2}


@pytest.fixture
def site(site):
    """The same site, its boot service on HTTPS too, its server one for the virtual drive."""
    cert, key = site.authority.issue("127.0.0.1")
    secure = WebServer(boot_app(Desk(site)), "127.0.0.1", certificate=cert, key=key).start()
    fleet = site.inventory.fleet.model_copy(update={"boot_https_listen": "127.0.0.1:1"})
    site.inventory = site.inventory.model_copy(update={"fleet": fleet})
    site.boot_https_url, site.route = secure.url, "redfish-iso"
    yield site
    site.machine.power_off()
    secure.stop()


def calls(site):
    return [call for call in site.bmc_calls if call != "close"]


def assert_put_away(site):
    assert site.machine.media is None
    assert list((site.state / "media").iterdir()) == []


def test_from_the_virtual_drive_to_installed(site, made):
    assert site.install().status == Status.DONE
    made.assert_installed_once(site)
    assert calls(site) == ["power off", "insert", "media", "power on", "eject", "eject"]
    assert_put_away(site)
    events = "\n".join(e.text for e in site.store.events.since(0))
    assert "booting from its virtual drive" in events


def test_what_crossed_the_wire_was_believed_by_the_pinned_authority_alone(site):
    assert site.install().status == Status.DONE
    told = site.disk.installed_with
    assert told["trusts"] == site.authority.certificate
    assert told["marker"].startswith("metal-medium-")


def test_a_boot_service_that_another_vouches_for_gets_nothing(site, tmp_path):
    """Somebody answers in our place, by a certificate that is valid for the address."""
    from metal.drivers.authority import Authority

    cert, key = Authority(tmp_path / "stranger").issue("127.0.0.1")
    asked = []

    async def stranger(scope, receive, send):
        asked.append(scope["path"])

    other = WebServer(stranger, "127.0.0.1", certificate=cert, key=key).start()
    site.boot_https_url = other.url
    site.patience = replace(site.patience, **QUICK, boots=1)
    outcome = site.install()
    other.stop()
    assert outcome.status == Status.FAILED and "booted 1 times" in outcome.error
    assert not [path for path in asked if path.startswith("/preseed/")]
    assert site.disk.wipes == 0


def test_killed_at_every_step_before_and_after_it_acted(site, made):
    kills = 0
    for at in range(STEPS):
        for before in (True, False):
            kills += made.run_until_killed(site, at, before=before)
    assert kills == 2 * STEPS
    assert site.install().status == Status.DONE
    made.assert_installed_once(site)
    assert_put_away(site)


def test_killed_between_inserting_and_booting(site, made, monkeypatch):
    """The step acted half: the image is in, nothing is told to boot it."""
    bmc = type(site.ports.bmc("alba1"))
    real = bmc.ensure_boot_once

    class Killed(BaseException):
        pass

    def dies(_self, _device):
        monkeypatch.setattr(bmc, "ensure_boot_once", real)
        raise Killed

    monkeypatch.setattr(bmc, "ensure_boot_once", dies)
    with pytest.raises(Killed):
        site.install()
    assert site.machine.media is not None
    assert site.install().status == Status.DONE
    made.assert_installed_once(site)
    assert_put_away(site)


def test_a_bmc_without_tls_gets_it_by_http(site, monkeypatch):
    bmc, urls = type(site.ports.bmc("alba1")), []

    def insert(self, url):
        urls.append(url)
        if url.startswith("https:"):
            raise Failed(f"no virtual drive took the image {url}")
        self.site.machine.media = url
        return "CD"

    monkeypatch.setattr(bmc, "ensure_media", insert)
    assert site.install().status == Status.DONE
    assert [url.split(":")[0] for url in urls] == ["https", "http"]
    assert requests.get(urls[-1], timeout=5).status_code == 404, "it is over"


def test_an_image_that_no_drive_takes_ends_it_and_tells_no_address(site, monkeypatch):
    bmc, urls = type(site.ports.bmc("alba1")), []

    def insert(_self, url):
        urls.append(url)
        raise Failed(f"no virtual drive took the image {url} (busy)", where="bmc", mend="wait")

    monkeypatch.setattr(bmc, "ensure_media", insert)
    outcome = site.install()
    assert outcome.status == Status.FAILED and "no virtual drive took the image" in outcome.error
    address = urls[0].rpartition("/")[2].removesuffix(".iso")
    assert address not in outcome.error
    assert address not in "".join(e.text for e in site.store.events.since(0))
    assert "power on" not in calls(site)
    assert_put_away(site)

    monkeypatch.undo()
    assert site.install().status == Status.DONE, "and it goes on from there"
    assert_put_away(site)


def test_a_drive_that_cannot_be_emptied_ends_no_install(site, made, monkeypatch):
    bmc = type(site.ports.bmc("alba1"))

    def stuck(_self):
        raise Failed("the virtual drive CD still holds it")

    monkeypatch.setattr(bmc, "ensure_no_media", stuck)
    assert site.install().status == Status.DONE
    made.assert_installed_once(site)
    said = [e.text for e in site.store.events.since(0) if "still in its virtual drive" in e.text]
    assert len(said) == 2 and "metal media eject alba1" in said[0]


def test_a_drive_that_was_busy_is_emptied_at_the_end(site, monkeypatch):
    bmc = type(site.ports.bmc("alba1"))
    real, tries = bmc.ensure_no_media, []

    def busy(self):
        tries.append(1)
        if len(tries) == 1:
            raise Unreachable("timed out", where="bmc alba1")
        real(self)

    monkeypatch.setattr(bmc, "ensure_no_media", busy)
    assert site.install().status == Status.DONE
    assert_put_away(site)


def test_a_bmc_that_ignores_what_to_boot_is_given_up_and_emptied(site):
    site.patience = replace(site.patience, **QUICK, boots=2)
    firmware = site.machine.on_boot
    site.machine.on_boot = lambda machine, boot: firmware(machine, replace(boot, device="disk"))
    outcome = site.install()
    assert outcome.status == Status.FAILED
    assert "booted 2 times" in outcome.error and "does it boot from there" in outcome.error
    assert calls(site).count("insert") == 2
    assert site.disk.wipes == 0
    assert_put_away(site)


def test_a_medium_that_stays_first_boots_what_it_installed(site, made):
    """A BMC that boots the image for ever: the second boot would install again."""
    firmware, boots = site.machine.on_boot, []

    def ever(machine, boot):
        boots.append(boot.device)
        image = site.kept if hasattr(site, "kept") else boot.image
        site.kept = image
        firmware(machine, replace(boot, device="media", image=image))

    site.machine.on_boot = ever
    forget = Desk.medium
    files = {}

    def kept(self, server, address):
        file = forget(self, server, address)
        if file is not None:
            files[server] = file.read_bytes()
            (site.folder / "kept.iso").write_bytes(files[server])
        return site.folder / "kept.iso" if server in files else file

    Desk.medium = kept
    try:
        assert site.install().status == Status.DONE
    finally:
        Desk.medium = forget
    assert len(boots) == 2
    made.assert_installed_once(site)


def test_the_address_is_the_installs_own(site):
    """Who guesses, or comes late, gets nothing; who knows it may read piece by piece."""
    seen = threading.Event()
    firmware = site.machine.on_boot
    answers = {}

    def look(machine, boot):
        if boot.image:
            guess = boot.image.rpartition("/")[0] + "/" + "A" * 43 + ".iso"
            answers["guess"] = requests.get(guess, verify=False, timeout=5)
            answers["head"] = requests.head(boot.image, verify=False, timeout=5)
            piece = {"Range": "bytes=32769-32773"}
            answers["piece"] = requests.get(boot.image, headers=piece, verify=False, timeout=5)
            answers["url"] = boot.image
            seen.set()
        firmware(machine, boot)

    site.machine.on_boot = look
    assert site.install().status == Status.DONE
    assert seen.is_set()
    assert answers["guess"].status_code == 404
    assert int(answers["head"].headers["Content-Length"]) > 2**20
    assert (answers["piece"].status_code, answers["piece"].content) == (206, b"CD001")
    assert requests.get(answers["url"], verify=False, timeout=5).status_code == 404


def test_the_wire_offers_no_installer_meanwhile(site, made):
    """One that boots from the network by its own order is sent to its disk."""
    texts = []
    firmware = site.machine.on_boot

    def look(machine, boot):
        texts.append(requests.get(f"{site.boot_url}/boot?mac={made.mac}", timeout=5).text)
        firmware(machine, boot)

    site.machine.on_boot = look
    assert site.install().status == Status.DONE
    assert all("sanboot" in text for text in texts)


def test_a_stick_that_somebody_brings(site, made, tmp_path):
    """Nobody's switch is touched: the operation waits until the machine asks."""
    site.route = "stick"
    stick = tmp_path / "alba1.iso"

    def bring():
        """What a person does, once the operation says that it waits."""
        while not any("metal media make alba1" in e.text for e in site.store.events.since(0)):
            threading.Event().wait(0.01)
        make_medium(site, site.action, stick)
        served = WebServer(_file_app(stick), "127.0.0.1").start()
        site.machine.media, site.machine.boot_once = f"{served.url}/stick.iso", "media"
        site.machine.power_on()
        return served

    servers = []
    person = threading.Thread(target=lambda: servers.append(bring()))
    person.start()
    outcome = site.install()
    person.join()
    servers[0].stop()
    assert outcome.status == Status.DONE, outcome.error
    assert calls(site) == []
    key = site.administrator_opens("disk/alba1")
    assert list(site.disk.luks_slots.values()) == [hashlib.sha256(key.encode()).hexdigest()]
    assert site.store.servers.get("alba1").life is Life.INSTALLED


def _file_app(file):
    from starlette.applications import Starlette
    from starlette.responses import FileResponse
    from starlette.routing import Route

    return Starlette(routes=[Route("/stick.iso", lambda _request: FileResponse(file))])


def test_a_server_that_is_installed_already_keeps_what_is_in_its_drive(site):
    site.machine.media = "http://somebody.example.org/rescue.iso"
    site.store.servers.move("alba1", Life.INSTALLED)
    action, ports = site.action, site.ports
    from metal.install.flow import install

    outcome = perform(site.store, site.open(), lambda run: install(run, action, ports))
    assert outcome.exit_code == 3
    assert site.machine.media == "http://somebody.example.org/rescue.iso"
