"""Escrow: readable by every administrator, durable, and nothing changed when it fails."""

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metal.drivers.secrets import AgeSecrets
from metal.model.errors import BadInput, Failed, Refused


def age_key():
    identity = pyrage.x25519.Identity.generate()
    return str(identity.to_public()), identity


def ssh_key(folder, kind):
    file = folder / f"id_{kind}"
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "ana@desk", "-f", str(file)]
    if kind == "rsa":
        command += ["-b", "2048"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    public = file.with_suffix(".pub").read_text().strip()
    return public, pyrage.ssh.Identity.from_buffer(file.read_bytes())


@pytest.fixture
def ana():
    return age_key()


@pytest.fixture
def keep(tmp_path, ana):
    return AgeSecrets(tmp_path / "secrets", tmp_path / "state", [ana[0]])


def opened(file, identity):
    return pyrage.decrypt(file.read_bytes(), [identity]).decode()


def files(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_what_is_escrowed_is_revealed(keep):
    keep.escrow("bmc/alba1", "s3cret", controller=True)
    assert keep.reveal("bmc/alba1") == "s3cret"
    assert keep.reveal("bmc/alba2") is None


def test_without_controller_only_administrators_can_read_it(keep, tmp_path, ana):
    keep.escrow("disk/alba1", "s3cret", controller=False)
    assert keep.reveal("disk/alba1") is None
    assert opened(tmp_path / "secrets/disk/alba1.age", ana[1]) == "s3cret"
    assert not (tmp_path / "state/controller.key").exists()


def test_every_kind_of_administrators_key_opens_it(tmp_path, ana):
    keys = [ana, ssh_key(tmp_path, "ed25519"), ssh_key(tmp_path, "rsa")]
    keep = AgeSecrets(tmp_path / "secrets", tmp_path / "state", [public for public, _ in keys])
    keep.escrow("bmc/alba1", "s3cret", controller=True)
    sealed = tmp_path / "secrets/bmc/alba1.age"
    assert [opened(sealed, identity) for _, identity in keys] == ["s3cret"] * 3


def test_nobody_else_opens_it(keep, tmp_path):
    keep.escrow("bmc/alba1", "s3cret", controller=True)
    key = (tmp_path / "state/controller.key").read_text().strip()
    for stranger in (age_key()[1], pyrage.x25519.Identity.from_str(key)):
        with pytest.raises(pyrage.DecryptError):
            opened(tmp_path / "secrets/bmc/alba1.age", stranger)


def test_forget_drops_the_controllers_copy_only(keep, tmp_path, ana):
    keep.escrow("disk/alba1", "s3cret", controller=True)
    keep.forget("disk/alba1")
    keep.forget("disk/alba1")
    assert keep.reveal("disk/alba1") is None
    assert opened(tmp_path / "secrets/disk/alba1.age", ana[1]) == "s3cret"


def test_all_files_are_private(keep, tmp_path):
    umask = os.umask(0)
    try:
        keep.escrow("bmc/alba1", "s3cret", controller=True)
    finally:
        os.umask(umask)
    for path in (p for part in ("secrets", "state") for p in (tmp_path / part).rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_replaced_secret_stays_readable_beside_the_new_one(keep, tmp_path, ana):
    for secret in ("first", "second", "third"):
        keep.escrow("disk/alba1", secret, controller=True)
    found = {f.name: opened(f, ana[1]) for f in sorted((tmp_path / "secrets/disk").iterdir())}
    assert found == {"alba1.age": "third", "alba1.1.age": "first", "alba1.2.age": "second"}
    assert keep.reveal("disk/alba1") == "third"


@settings(max_examples=40)
@given(secret=st.text(min_size=1))
def test_any_text_survives(tmp_path_factory, secret):
    keep = AgeSecrets(
        tmp_path_factory.mktemp("round"), tmp_path_factory.mktemp("state"), [age_key()[0]]
    )
    keep.escrow("bmc/alba1", secret, controller=True)
    assert keep.reveal("bmc/alba1") == secret


@settings(max_examples=200)
@given(name=st.one_of(st.text(), st.text("./ab-\x00", max_size=12)))
def test_no_name_leaves_its_folder(tmp_path_factory, name):
    base = tmp_path_factory.mktemp("names")
    keep = AgeSecrets(base / "secrets", base / "state", [age_key()[0]])
    try:
        keep.escrow(name, "s3cret", controller=False)
    except BadInput:
        assert not (base / "secrets").exists()
    else:
        assert (base / "secrets" / f"{name}.age").resolve().is_relative_to(base / "secrets")


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../b", "a//b", "A", "a/.", "a.age", "-"])
def test_such_names_are_refused(keep, name):
    for call in (
        lambda: keep.escrow(name, "s", controller=True),
        lambda: keep.reveal(name),
        lambda: keep.forget(name),
    ):
        with pytest.raises(BadInput):
            call()


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNo bruno@desk", "ECDSA"),
        ("sk-ssh-ed25519@openssh.com AAAAGnNr bruno@desk", "FIDO"),
        ("ssh-ed25519 AAAAtypo bruno@desk", "ssh-ed25519 AAAAtypo"),
        ("age1notakey", "age1notakey"),
    ],
)
def test_a_key_nothing_can_be_encrypted_to_is_named(tmp_path, ana, key, says):
    keep = AgeSecrets(tmp_path / "secrets", tmp_path / "state", [ana[0], key])
    with pytest.raises(BadInput, match=says):
        keep.escrow("bmc/alba1", "s3cret", controller=True)
    assert not (tmp_path / "secrets").exists()


def test_without_administrators_nothing_is_escrowed(tmp_path):
    with pytest.raises(BadInput, match="nobody"):
        AgeSecrets(tmp_path / "s", tmp_path / "t", []).escrow("bmc/x", "s", controller=True)


@pytest.mark.parametrize("secret", ["", "\udc80lone"])
def test_an_unwritable_secret_is_not_shown(keep, secret):
    with pytest.raises(BadInput) as caught:
        keep.escrow("bmc/alba1", secret, controller=True)
    assert "lone" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"


# ── the controller's key ────────────────────────────────────────────────────────────────────


def test_the_controllers_key_is_made_once(keep, tmp_path, ana):
    keep.escrow("bmc/alba1", "one", controller=True)
    key = (tmp_path / "state/controller.key").read_text()
    again = AgeSecrets(tmp_path / "secrets", tmp_path / "state", [ana[0]])
    again.escrow("bmc/alba2", "two", controller=True)
    assert (tmp_path / "state/controller.key").read_text() == key
    assert again.reveal("bmc/alba1") == "one"


def test_two_processes_that_make_it_at_once_get_the_same(tmp_path, ana):
    keeps = [AgeSecrets(tmp_path / "secrets", tmp_path / "state", [ana[0]]) for _ in range(8)]
    threads = [
        threading.Thread(target=k.escrow, args=(f"bmc/s{i}", f"{i}"), kwargs={"controller": True})
        for i, k in enumerate(keeps)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [keeps[0].reveal(f"bmc/s{i}") for i in range(8)] == [str(i) for i in range(8)]


def test_a_key_that_others_can_read_is_refused(keep, tmp_path):
    keep.escrow("bmc/alba1", "s3cret", controller=True)
    (tmp_path / "state/controller.key").chmod(0o644)
    with pytest.raises(Refused, match="others"):
        keep.reveal("bmc/alba1")


def test_a_broken_or_foreign_key_is_a_clear_error(keep, tmp_path):
    keep.escrow("bmc/alba1", "s3cret", controller=True)
    key = tmp_path / "state/controller.key"
    key.write_text(f"{age_key()[1]}\n")
    with pytest.raises(Failed, match="not encrypted to this controller"):
        keep.reveal("bmc/alba1")
    key.write_text("AGE-SECRET-KEY-nonsense\n")
    with pytest.raises(Failed, match="no age identity") as caught:
        keep.reveal("bmc/alba1")
    assert "nonsense" not in str(caught.value)


# ── disks that are full, processes that die ─────────────────────────────────────────────────

CHILD = """
import resource, sys
from pathlib import Path
from metal.drivers.secrets import AgeSecrets
from metal.model.errors import Failed
base, recipient, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    AgeSecrets(base / "secrets", base / "state", [recipient]).escrow(
        "disk/alba1", "the-new-one", controller=True
    )
except Failed as error:
    print(error)
    sys.exit(7)
"""


def in_a_child(script, *args):
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, args)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.parametrize("limit", [0, 1, 100, 200])
def test_a_full_disk_changes_nothing(keep, tmp_path, ana, limit):
    keep.escrow("disk/alba1", "the-old-one", controller=True)
    before = files(tmp_path)
    ran = in_a_child(CHILD, tmp_path, ana[0], limit)
    assert (ran.returncode, ran.stderr) == (7, "")
    assert "no key is handed out" in ran.stdout and "the-new-one" not in ran.stdout
    assert files(tmp_path) == before
    assert keep.reveal("disk/alba1") == "the-old-one"


def test_a_full_disk_before_there_is_a_key_leaves_no_key(tmp_path, ana):
    assert in_a_child(CHILD, tmp_path, ana[0], 10).returncode == 7
    assert set(files(tmp_path)) == {"state/escrow.lock"}


def test_when_the_controllers_copy_cannot_be_put_in_place_neither_is(keep, tmp_path, ana):
    keep.escrow("disk/alba1", "the-old-one", controller=True)
    held = tmp_path / "state/held/disk/alba1.age"
    held.unlink()
    (held / "in the way").mkdir(parents=True)
    with pytest.raises(Failed):
        keep.escrow("disk/alba1", "the-new-one", controller=True)
    assert opened(tmp_path / "secrets/disk/alba1.age", ana[1]) == "the-old-one"
    assert [f.name for f in (tmp_path / "secrets/disk").iterdir()] == ["alba1.age"]


def test_a_file_in_the_folders_place_is_a_clear_error(tmp_path, ana):
    (tmp_path / "secrets").write_text("in the way")
    with pytest.raises(Failed, match="could not be escrowed"):
        AgeSecrets(tmp_path / "secrets", tmp_path / "state", [ana[0]]).escrow(
            "bmc/alba1", "s3cret", controller=True
        )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_ours_is_a_clear_error(keep, tmp_path):
    keep.escrow("bmc/alba1", "s3cret", controller=True)
    (tmp_path / "secrets/bmc").chmod(0o500)
    with pytest.raises(Failed, match="Permission denied"):
        keep.escrow("bmc/alba1", "another", controller=True)


LOOP = """
import sys
from pathlib import Path
from metal.drivers.secrets import AgeSecrets
base, recipient = Path(sys.argv[1]), sys.argv[2]
keep = AgeSecrets(base / "secrets", base / "state", [recipient])
for number in range(10**9):
    keep.escrow("disk/alba1", f"secret-{number:09}", controller=True)
    print(number, flush=True)
"""


@pytest.mark.kill
def test_killed_at_any_moment_what_is_revealed_was_escrowed(tmp_path, ana):
    """And files are whole or absent: the next escrow goes on as if nothing had happened."""
    keep = AgeSecrets(tmp_path / "secrets", tmp_path / "state", [ana[0]])
    for kill in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", LOOP, str(tmp_path), ana[0]],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        with child:
            for _ in range(1 + kill):
                assert child.stdout.readline()
            child.send_signal(signal.SIGKILL)
            said = child.stdout.read().split()
        revealed = keep.reveal("disk/alba1")
        sealed = {opened(f, ana[1]) for f in (tmp_path / "secrets/disk").glob("[!.]*.age")}
        assert revealed in sealed, f"after {said[-1:]}"
    keep.escrow("disk/alba1", "at last", controller=True)
    assert keep.reveal("disk/alba1") == "at last"
    assert not list(tmp_path.rglob(".*tmp"))
