"""The installer is checked, pinned and kept; what becomes of the mirror afterwards is no matter."""

import gzip
import lzma
import subprocess
import threading
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from metal.drivers.archive import mirrors
from metal.drivers.archive.package import Entry, package
from metal.drivers.web import WebServer
from metal.install.installer.choose import NEEDED
from metal.install.installer.lock import read_lock, write_pin
from metal.install.installer.origin import LOADERS
from metal.install.installer.pinning import ensure_installer, pin_installer
from metal.lab.mirror import FOLDER, IMAGES, INDEX, KERNEL, RELEASED, content, installer_initrd
from metal.model.errors import Failed, Refused, Unreachable

LINUX = f"dists/trixie/{IMAGES}/{FOLDER}/linux"
INITRD = f"dists/trixie/{IMAGES}/{FOLDER}/initrd.gz"
SUMS, RELEASE = f"dists/trixie/{IMAGES}/SHA256SUMS", "dists/trixie/InRelease"


def unpacked(initrd, folder):
    """Both archives one after the other, as the kernel does; by cpio itself."""
    base = len(installer_initrd("trixie"))
    first, second = gzip.decompress(initrd[:base]), initrd[base:].lstrip(b"\0")
    for archive in (first, second):
        subprocess.run(
            ["cpio", "-idmu", "--quiet"], input=archive, cwd=folder, check=True, capture_output=True
        )
    return folder


def test_servers_get_debians_kernel_and_initrd_with_the_components_behind(source, tmp_path):
    pinned = pin_installer(source, "trixie")
    kept = source.kept / "trixie"
    for name in ("linux", *LOADERS):
        assert (kept / name).read_bytes() == content("trixie", name)
    assert (kept / "initrd.gz").read_bytes().startswith(installer_initrd("trixie"))
    assert len((kept / "initrd.gz").read_bytes()) % 4 == 0
    assert (pinned.debian, pinned.kernel, pinned.notes) == ("13.2", KERNEL, ())
    assert read_lock(source.lock) == {"trixie": pinned}


def test_the_installer_finds_its_components_by_the_retriever(source, tmp_path):
    """The script that the installer calls is run here, with its folder where it was unpacked."""
    pin_installer(source, "trixie")
    (root := tmp_path / "root").mkdir()
    unpacked((source.kept / "trixie/initrd.gz").read_bytes(), root)
    script = (root / "usr/lib/debian-installer/retriever/net-retriever").read_text()
    script = script.replace("here=/", f"here={root}/")

    def retrieve(*words):
        return subprocess.run(["sh", "-c", script, "net-retriever", *words]).returncode

    assert retrieve("packages", tmp_path / "Packages") == 0
    named = [
        line.removeprefix("Filename: ")
        for line in (tmp_path / "Packages").read_text().splitlines()
        if line.startswith("Filename: ")
    ]
    assert len(named) == len(NEEDED) - 1  # the initrd has hw-detect already
    for name in named:
        assert retrieve("retrieve", name, tmp_path / "one.udeb") == 0
        subprocess.run(["dpkg-deb", "--info", tmp_path / "one.udeb"], check=True)
    assert retrieve("retrieve", "pool/unknown.udeb", tmp_path / "one.udeb") != 0
    assert retrieve("cleanup") == 0


def test_the_same_mirror_gives_the_same_bytes(source, tmp_path):
    first = pin_installer(source, "trixie")
    again = source._replace(kept=tmp_path / "elsewhere", lock=tmp_path / "another.lock")
    assert pin_installer(again, "trixie") == first


def test_what_is_kept_is_served_whatever_became_of_the_mirror(source, archive, watched):
    pinned = ensure_installer(source, "trixie")
    asked = len(watched.paths)
    archive.files.clear()
    assert ensure_installer(source, "trixie") == pinned
    assert len(watched.paths) == asked


def test_a_mirror_that_moved_on_changes_nothing_until_it_is_pinned_anew(source, archive):
    before = ensure_installer(source, "trixie")
    archive.files = {p: c for p, c in archive.files.items() if "-modules-" not in p}
    archive.add("trixie", "6.12.2-lab")
    archive.publish("trixie", RELEASED + timedelta(days=60))
    assert ensure_installer(source, "trixie") == before
    after = pin_installer(source, "trixie")
    assert (before.kernel, after.kernel) == (KERNEL, "6.12.2-lab")
    names = {file.name for file in (source.kept / "trixie/udebs").iterdir()}
    assert names == {udeb.name for udeb in after.udebs}


def test_who_has_the_lock_file_gets_the_same_from_a_mirror_without_release(source, archive, url):
    pinned = ensure_installer(source, "trixie")
    del archive.files[RELEASE], archive.files[SUMS], archive.files[f"dists/trixie/{INDEX}"]
    fresh = source._replace(kept=source.kept.with_name("fresh"))
    assert ensure_installer(fresh, "trixie") == pinned
    assert (fresh.kept / "trixie/linux").read_bytes() == content("trixie", "linux")


def test_a_pinned_one_that_nobody_has_any_more_is_told(source, archive):
    ensure_installer(source, "trixie")
    archive.files = {p: c for p, c in archive.files.items() if not p.endswith("udeb")}
    fresh = source._replace(kept=source.kept.with_name("fresh"))
    with pytest.raises(Failed, match="not kept here, and no mirror has it") as caught:
        ensure_installer(fresh, "trixie")
    assert "metal installer pin trixie" in caught.value.mend


def test_a_damaged_file_is_mended(source):
    ensure_installer(source, "trixie")
    (source.kept / "trixie/linux").write_bytes(b"broken")
    ensure_installer(source, "trixie")
    assert (source.kept / "trixie/linux").read_bytes() == content("trixie", "linux")


def test_ten_at_once_fetch_it_once(source, watched):
    threads = [
        threading.Thread(target=ensure_installer, args=(source, "trixie")) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert watched.paths.count(LINUX) == watched.paths.count(RELEASE) == 1


@pytest.mark.parametrize("path", [LINUX, INITRD, SUMS, f"dists/trixie/{INDEX}"])
def test_a_file_that_somebody_changed_is_not_used(source, archive, path):
    last = archive.files[path][-1] ^ 1
    archive.files[path] = archive.files[path][:-1] + bytes([last])
    with pytest.raises(Failed, match="not what the archive's signed sums say"):
        pin_installer(source, "trixie")
    assert not source.lock.exists() and not (source.kept / "trixie/linux").exists()
    assert not list(source.kept.rglob("*.tmp"))


def test_a_component_that_somebody_changed_is_as_one_that_is_not_there(source, archive):
    path = next(path for path in archive.files if "partman-base" in path)
    archive.files[path] = package({"Package": "partman-base"}, {"bin/evil": Entry(b"#!/bin/sh")})
    with pytest.raises(Failed, match="lack partman-base, so there is no partman-base"):
        pin_installer(source, "trixie")


def test_another_mirror_of_the_fleet_has_what_the_nearest_lacks(source, archive, watched, url):
    """The nearest one's Release will do, and its few files; the rest comes from elsewhere."""
    whole = WebServer(type(watched)(archive), "127.0.0.1").start()
    lacking = dict.fromkeys(
        (p.rsplit("/", 1)[-1] for p in archive.files if "partman" in p), Response(status_code=404)
    )
    watched.instead = lacking | {"initrd.gz": Response(status_code=404)}
    try:
        both = source._replace(mirrors=[url, f"{whole.url}/debian"])
        assert pin_installer(both, "trixie").left_out == ()
    finally:
        whole.stop()


def test_what_an_install_can_do_without_is_left_out_and_told(source, archive):
    index = f"dists/trixie/{INDEX}"
    more = "Package: partman-jfs\nVersion: 1\nFilename: pool/jfs.udeb\nSize: 9\nSHA256: 00\n"
    listed = mirrors._unpacked(archive.files[index], index).decode()
    archive.files[index] = lzma.compress(f"{listed}\n{more}Priority: standard\n".encode())
    archive.publish("trixie")
    pinned = pin_installer(source, "trixie")
    assert pinned.left_out == ("partman-jfs",)
    assert pinned.notes == ("no mirror has partman-jfs: left out",)


def test_a_release_signed_by_somebody_else_is_refused(source, archive):
    archive.key = type(archive)([]).key
    archive.publish("trixie")
    with pytest.raises(Failed, match="not signed by a key that is trusted") as caught:
        pin_installer(source, "trixie")
    assert caught.value.where.endswith("dists/trixie/InRelease")
    assert not source.lock.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda signed: signed.replace(b"Version: 13.2", b"Version: 13.3"),
        lambda signed: signed.split(b"\n\n", 1)[1],
        lambda signed: signed.split(b"-----BEGIN PGP SIGNATURE")[0],
        lambda _signed: b"<html>hello</html>",
        lambda _signed: b"",
    ],
    ids=["changed", "no head", "no signature", "a page", "empty"],
)
def test_a_release_that_was_changed_is_refused(source, archive, change):
    archive.files[RELEASE] = change(archive.files[RELEASE])
    with pytest.raises(Failed, match="not signed"):
        pin_installer(source, "trixie")


def test_what_stands_around_the_signed_part_is_not_believed(source, archive):
    signed = archive.files[RELEASE]
    archive.files[RELEASE] = b"Version: 99\n\n" + signed + b"\nVersion: 98\n"
    assert pin_installer(source, "trixie").debian == "13.2"


def test_the_release_of_another_debian_proves_nothing(source, archive):
    archive.add("bookworm")
    archive.publish("bookworm")
    archive.files[RELEASE] = archive.files["dists/bookworm/InRelease"]
    with pytest.raises(Failed, match="Release of bookworm, not of trixie"):
        pin_installer(source, "trixie")


def test_a_release_past_its_date_is_told(source, archive):
    archive.publish("trixie", **{"Valid-Until": "Sun, 02 Nov 2025 00:00:00 UTC"})
    pinned = pin_installer(source, "trixie")
    assert pinned.notes == ("the mirror's Release was valid until 2025-11-02: it is not kept",)


def test_a_release_within_its_date_is_not(source, archive):
    until = datetime.now(UTC) + timedelta(days=7)
    archive.publish("trixie", **{"Valid-Until": f"{until:%a, %d %b %Y %H:%M:%S} UTC"})
    assert pin_installer(source, "trixie").notes == ()


def test_an_older_release_does_not_replace_the_pinned_one(source, archive):
    pinned = pin_installer(source, "trixie")
    archive.publish("trixie", RELEASED - timedelta(days=1))
    with pytest.raises(Refused, match="older than what is pinned"):
        pin_installer(source, "trixie")
    assert ensure_installer(source, "trixie") == pinned


def test_no_keyring_no_installer(source, tmp_path):
    with pytest.raises(Refused, match="no keyring") as caught:
        pin_installer(source._replace(keyring=tmp_path / "nowhere"), "trixie")
    assert "debian-archive-keyring" in caught.value.mend
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(Refused, match="no OpenPGP keys"):
        pin_installer(source._replace(keyring=tmp_path / "empty"), "trixie")


def test_the_package_of_installers_stands_in_for_a_folder_that_lacks_them(source, archive):
    """As some mirrors do: SHA256SUMS is there, the files are not."""
    images = "./usr/lib/debian-installer/images/13/amd64/text/debian-installer/amd64/"
    control = {"Package": "debian-installer-13-netboot-amd64", "Version": "1"}
    names = ("linux", "initrd.gz", *LOADERS)
    inside = {name: archive.files.pop(f"dists/trixie/{IMAGES}/{FOLDER}/{name}") for name in names}
    deb = package(
        control, {images.removeprefix("./") + name: Entry(c) for name, c in inside.items()}
    )
    archive.add_package(deb, control, "trixie")
    archive.publish("trixie")
    pinned = pin_installer(source, "trixie")
    assert "taken from the package debian-installer-13-netboot-amd64" in pinned.notes[0]
    assert (source.kept / "trixie/linux").read_bytes() == content("trixie", "linux")
    assert not list((source.kept / "trixie").glob("*.deb"))
    fresh = source._replace(kept=source.kept.with_name("fresh"))
    assert ensure_installer(fresh, "trixie") == pinned


def test_a_lock_file_of_before_the_loaders_were_pinned_still_serves(source, archive):
    """Its kernel and initrd, by their sums, on a controller that has kept nothing."""
    pinned = pin_installer(source, "trixie")
    old = {name: pinned.served[name] for name in ("linux", "initrd.gz")}
    before = pinned.model_copy(update={"loaders": (), "served": old})
    write_pin(source.lock, "trixie", before)
    fresh = source._replace(kept=source.kept.with_name("fresh"))
    assert ensure_installer(fresh, "trixie") == before
    assert not (fresh.kept / "trixie" / LOADERS[0]).exists()


def test_a_transfer_that_breaks_off_is_worth_a_retry(source, watched):
    async def half(scope, receive, send):
        body = content("trixie", "linux")
        size = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": size})
        await send({"type": "http.response.body", "body": body[:1000], "more_body": True})
        raise ConnectionResetError

    watched.instead["linux"] = half
    with pytest.raises(Unreachable):
        pin_installer(source, "trixie")
    assert not list(source.kept.rglob("*linux*"))


def test_a_file_that_is_too_large_is_cut(source, watched, monkeypatch):
    monkeypatch.setattr(mirrors, "LARGEST", 1_000_000)

    async def large():
        for _ in range(30):
            yield b"x" * 100_000

    watched.instead["linux"] = StreamingResponse(large())
    with pytest.raises(Failed, match="larger than"):
        pin_installer(source, "trixie")
    assert not list(source.kept.rglob("*linux*"))


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (Response(status_code=404), Failed, "answers 404"),
        (Response(status_code=503), Unreachable, "answers 503"),
    ],
)
def test_a_mirror_without_a_release_is_named(source, watched, url, answer, error, says):
    watched.instead["InRelease"] = answer
    with pytest.raises(error, match=says) as caught:
        pin_installer(source, "trixie")
    assert caught.value.where.startswith(url) and caught.value.mend


def test_a_mirror_that_does_not_answer_is_unreachable(source):
    server = WebServer(Starlette(routes=[Route("/", lambda _: Response())]), "127.0.0.1").start()
    gone = server.url
    server.stop()
    with pytest.raises(Unreachable) as caught:
        pin_installer(source._replace(mirrors=[f"{gone}/debian"]), "trixie")
    assert caught.value.where.startswith(gone)


def test_no_room_is_a_clear_error(source):
    source.kept.write_text("in the way")
    with pytest.raises(Failed, match="could not be kept"):
        pin_installer(source, "trixie")
