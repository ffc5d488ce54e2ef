"""From an enrolled server to an installed one, over HTTP and through a real store."""

import hashlib
import threading

import pyrage
import pytest
import requests

from metal.drivers.initramfs import read_boot
from metal.install.derived import hash_of, proof_of, report_key_of, token_of
from metal.install.rehearsal import obstacles, wanted_boot
from metal.lab.firmware import root_password_ok
from metal.lab.luks_double import PretendSystem
from metal.model.errors import Refused, Unreachable
from metal.model.life import Life, Status


def test_an_enrolled_server_becomes_an_installed_one(site, made):
    outcome = site.install()
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    record = site.store.servers.get("alba1")
    assert (record.life, record.status) == (Life.INSTALLED, Status.DONE)
    assert record.node_fingerprint == made.pin
    assert site.store.installs.phase("alba1") == ("up", {"fingerprint": made.pin, **made.doors})
    assert site.host_keys.of("alba1", "system") == (made.doors["host_key"],)
    assert site.host_keys.of("alba1", "initramfs") == (made.doors["initramfs_key"],)


def test_only_the_planned_disk_is_wiped_and_administrators_can_open_it(site):
    site.install()
    assert {name: disk.wipes for name, disk in site.machine.disks.items()} == {"sda": 0, "sdb": 1}
    key = site.administrator_opens("disk/alba1")
    assert list(site.disk.luks_slots.values()) == [hashlib.sha256(key.encode()).hexdigest()]
    assert site.disk.system == "debian trixie"
    assert site.disk.installed_with["address"] == "10.11.1.11"
    assert "chrony" in site.disk.installed_with["packages"]
    assert root_password_ok(site.machine, site.administrator_opens("root/alba1"))
    assert not root_password_ok(site.machine, "wrong")


def test_afterwards_the_controller_forgot_the_disk_key_but_not_roots_password(site):
    site.install()
    assert site.secrets.reveal("disk/alba1") is None
    assert site.secrets.reveal("root/alba1") == site.administrator_opens("root/alba1")


def test_no_secret_is_in_the_journal_or_the_database(site):
    site.install()
    key = site.administrator_opens("disk/alba1")
    root = site.administrator_opens("root/alba1")
    files = [f for f in site.folder.rglob("*") if f.is_file() and "installer" not in f.parts]
    assert any(f.name == "metal.db" for f in files)
    for secret in (key, root, token_of(key)):
        assert not [f for f in files if secret.encode() in f.read_bytes()]


def test_a_machine_nobody_knows_boots_its_disk(site):
    site.open()
    answer = requests.get(f"{site.boot_url}/boot?mac=02:00:5e:ff:ff:ff", timeout=5)
    assert answer.status_code == 200
    assert "sanboot" in answer.text
    assert "preseed" not in answer.text


def test_an_installed_machine_boots_its_disk_even_from_the_network(site, made):
    site.install()
    assert "sanboot" in requests.get(f"{site.boot_url}/boot?mac={made.mac}", timeout=5).text


def test_a_preseed_is_handed_out_once(site):
    operation = site.open()
    site.secrets.escrow("disk/alba1", "k" * 32, controller=True)
    site.secrets.escrow("root/alba1", "r" * 32, controller=True)
    token = token_of("k" * 32)
    site.store.installs.open("alba1", site.action.mac, None, hash_of(token), operation.id)
    url = f"{site.boot_url}/preseed/{token}"
    first, second = requests.get(url, timeout=5), requests.get(url, timeout=5)
    assert first.status_code == 200 and "k" * 32 in first.text
    assert second.status_code == 410 and "k" * 32 not in second.text
    assert requests.get(f"{url}x", timeout=5).status_code == 404


def test_a_preseed_that_cannot_be_rendered_is_not_used_up(site):
    own = site.folder / "preseed" / "base.cfg.j2"
    own.parent.mkdir()
    own.write_text("{{ no_such_thing }}")
    operation = site.open()
    site.secrets.escrow("disk/alba1", "k" * 32, controller=True)
    site.secrets.escrow("root/alba1", "r" * 32, controller=True)
    token = token_of("k" * 32)
    site.store.installs.open("alba1", site.action.mac, None, hash_of(token), operation.id)
    url = f"{site.boot_url}/preseed/{token}"
    assert requests.get(url, timeout=5).status_code == 500
    own.unlink()
    assert requests.get(url, timeout=5).status_code == 200


def taken_install(site):
    """An install of alba1 whose preseed was handed out: (token, the URL of its reports)."""
    operation, key = site.open(), "k" * 32
    site.secrets.escrow("disk/alba1", key, controller=True)
    token = token_of(key)
    site.store.installs.open("alba1", site.action.mac, None, hash_of(token), operation.id)
    return token, f"{site.boot_url}/report/{token}"


def proven(phase, told):
    return {**told, "proof": proof_of(report_key_of("k" * 32), phase, told)}


def test_reports_are_believed_only_after_the_preseed_was_taken(site, made):
    token, url = taken_install(site)
    told = {"fingerprint": made.pin, **made.doors}
    assert requests.post(f"{url}/up", data=proven("up", told), timeout=5).status_code == 409
    site.store.installs.take(hash_of(token))
    broken = proven("up", {**told, "fingerprint": "AB:CD"})
    assert requests.post(f"{url}/up", data=broken, timeout=5).status_code == 400
    assert requests.post(f"{url}/up", json=proven("up", told), timeout=5).status_code == 200
    assert site.store.installs.phase("alba1") == ("up", told)


@pytest.mark.parametrize("phase", ["finished", "up"])
def test_a_key_is_believed_only_with_a_proof(site, made, phase):
    """Whoever knows the URL could tell a host key of his own, and would be sent the disk's key."""
    token, url = taken_install(site)
    site.store.installs.take(hash_of(token))
    told = {"fingerprint": made.pin, **made.doors}
    elsewhere = {"finished": "up", "up": "finished"}[phase]
    mine = {**proven(phase, told), "host_key": made.doors["initramfs_key"]}
    for data in ({}, told, {**told, "proof": ""}, proven(elsewhere, told), mine):
        assert requests.post(f"{url}/{phase}", data=data, timeout=5).status_code == 409
        assert site.store.installs.phase("alba1") == ("preseed", {})
    no_key = proven(phase, {**told, "host_key": "ssh-ed25519 x; reboot"})
    assert requests.post(f"{url}/{phase}", data=no_key, timeout=5).status_code == 400
    assert requests.post(f"{url}/{phase}", data=proven(phase, told), timeout=5).status_code == 200


def test_a_report_whose_answer_was_lost_is_not_asked_for_its_proof_again(site, made):
    """The throw-away key may be gone by then, and with it what the proof is checked against."""
    token, url = taken_install(site)
    site.store.installs.take(hash_of(token))
    told = proven("up", {"fingerprint": made.pin, **made.doors})
    assert requests.post(f"{url}/up", data=told, timeout=5).status_code == 200
    site.secrets.forget("disk/alba1")
    assert requests.post(f"{url}/up", data=told, timeout=5).status_code == 200
    assert requests.post(f"{url}/finished", data={}, timeout=5).status_code == 200


def test_the_first_boot_gets_the_throw_away_through_dropbear_once(site, monkeypatch):
    """The controller has that key, so nobody needs to be there."""
    given, unlocked = [], threading.Event()
    site.firmware.ask_for_key = lambda _machine, _boot: unlocked.wait(60)

    def takes_it_at_the_second_look(_self, key):
        given.append(key)
        if len(given) == 1:
            raise Unreachable("it restarts still", where="alba1")
        unlocked.set()
        return 1

    monkeypatch.setattr(type(site), "unlock", takes_it_at_the_second_look)
    assert site.install().status == Status.DONE
    assert len(given) == 2 and len(set(given)) == 1
    assert site.secrets.generations("disk/alba1")[1:], "it was a throw-away"
    older = site.secrets.generations("disk/alba1")[1]
    admin = pyrage.x25519.Identity.from_str(site.admin)
    assert pyrage.decrypt(older.read_bytes(), [admin]).decode() == given[0]


def test_a_first_boot_that_does_not_take_the_key_waits_for_a_person(site, monkeypatch):
    asked = threading.Event()
    site.firmware.ask_for_key = lambda _machine, _boot: asked.wait(60)

    def another_host_key(_self, _key):
        asked.set()
        raise Refused("it shows another host key than the pinned one", where="alba1")

    monkeypatch.setattr(type(site), "unlock", another_host_key)
    operation = site.open()
    assert site.install().status == Status.DONE
    texts = [event.text for event in site.store.events.since(0, operation=operation.id)]
    assert (
        texts.count("not unlocked through dropbear: it shows another host key than the pinned one")
        == 1
    )


def test_what_the_preseed_sets_up_would_come_back_from_a_reboot(site, made):
    """The templates and the judge of initramfs images agree."""
    site.install()
    system = PretendSystem("alba1", site.disk, made.doors["initramfs_key"])
    pinned = site.host_keys.of("alba1", "initramfs")
    wanted = wanted_boot(site.inventory, "alba1", site.controller_key, pinned)
    assert wanted.root_keys[-1] == site.controller_key
    assert obstacles(read_boot(system, wanted.cards, wanted.address), wanted) == []
    (why,) = obstacles(
        read_boot(system, wanted.cards, wanted.address),
        wanted_boot(site.inventory, "alba1", "", ["x"]),
    )
    assert "another host key" in why
