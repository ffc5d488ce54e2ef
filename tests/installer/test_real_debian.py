"""Debian's own signatures: made by gpg in a lab, and of the mirror that this machine installs from.

Whatever state that mirror is in, it is either used whole or named with what it lacks.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from metal.drivers.archive.mirrors import Mirrors
from metal.drivers.archive.signed import verified
from metal.install.installer.origin import IMAGES
from metal.inventory.apt import apt_mirror
from metal.model.errors import Failed, Unreachable

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@pytest.fixture
def gnupg(tmp_path, monkeypatch):
    """Two keys of GnuPG's, thrown away afterwards: what they sign, and the keyring of one."""
    if not shutil.which("gpg"):
        pytest.skip("gpg is not installed")
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))

    def gpg(*words, stdin=b""):
        command = ["gpg", "--batch", "--quiet", "--passphrase", "", *words]
        return subprocess.run(command, input=stdin, check=True, capture_output=True).stdout

    for name in ("old", "new"):
        gpg("--quick-generate-key", f"{name}@archive.example.org", "rsa3072", "sign", "1d")
    yield gpg
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=False)


def keyring_of(gpg, name, folder):
    file = folder / f"{name}.gpg"
    file.write_bytes(gpg("--export", f"{name}@archive.example.org"))
    return file


def signed_by(gpg, *names, text=b"Codename: trixie\n"):
    users = [word for name in names for word in ("-u", f"{name}@archive.example.org")]
    return gpg("--clearsign", "--digest-algo", "SHA512", *users, stdin=text)


def test_a_document_that_two_keys_signed_is_believed_for_either(gnupg, tmp_path):
    both = signed_by(gnupg, "old", "new")
    for name in ("old", "new"):
        keyring = keyring_of(gnupg, name, tmp_path)
        assert verified(both, keyring, "InRelease").strip() == b"Codename: trixie"
        said = ["gpgv", "--keyring", str(keyring), "--status-fd", "1"]
        if shutil.which("gpgv"):
            out = subprocess.run(said, input=both, capture_output=True).stdout
            assert b"VALIDSIG" in out  # the other judge agrees


def test_a_document_that_another_key_signed_is_not(gnupg, tmp_path):
    keyring = keyring_of(gnupg, "old", tmp_path)
    with pytest.raises(Failed, match="not signed by a key that is trusted"):
        verified(signed_by(gnupg, "new"), keyring, "InRelease")
    changed = signed_by(gnupg, "old").replace(b"trixie", b"trixiE")
    with pytest.raises(Failed, match="not signed by a key that is trusted"):
        verified(changed, keyring, "InRelease")


@pytest.fixture
def mirrors():
    url = apt_mirror()
    if url is None or not KEYRING.exists():
        pytest.skip("this machine installs from no Debian mirror")
    return Mirrors([url])


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_the_mirror_of_this_machine_is_signed_by_debian(mirrors, suite):
    try:
        release = mirrors.release(suite, KEYRING)
    except Unreachable as error:
        pytest.skip(f"the mirror does not answer: {error.what}")
    assert release.codename == suite and release.version
    try:
        sums = mirrors.index(release, suite, f"{IMAGES}/SHA256SUMS")
    except Unreachable as error:
        pytest.skip(f"the mirror does not answer: {error.what}")
    except Failed as error:  # it is in the middle of an update: told, not used
        assert "signed sums" in error.what or "larger than" in error.what
    else:
        assert b"netboot/debian-installer/amd64/linux\n" in sums
