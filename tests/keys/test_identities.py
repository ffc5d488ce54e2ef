"""Administrators' own keys, shares on paper, and what files tell of their readers."""

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metal.drivers import bech32, identities, shares
from metal.drivers.age_header import read_header, tag_of
from metal.drivers.secrets import AgeSecrets
from metal.model.errors import BadInput, Failed, Refused


def nobody(_what):
    raise AssertionError("nobody may be asked")


def age_pair():
    identity = pyrage.x25519.Identity.generate()
    return str(identity.to_public()), str(identity)


# ── identities ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
@pytest.mark.parametrize("passphrase", ["", "correct horse"])
def test_an_ssh_key_opens_what_is_encrypted_to_it(tmp_path, new_key, kind, passphrase):
    public = new_key(tmp_path / "key", passphrase=passphrase, kind=kind)
    ask = (lambda _what: passphrase) if passphrase else nobody
    identity = identities.load(tmp_path / "key", ask)
    assert identity.public == public
    sealed = pyrage.encrypt(b"s3cret", [pyrage.ssh.Recipient.from_str(public)])
    assert identity.open(sealed, "disk/alba1") == "s3cret"
    assert "s3cret" not in repr(identity) and "PRIVATE" not in repr(identity)
    other = pyrage.encrypt(b"s3cret", [pyrage.x25519.Identity.generate().to_public()])
    assert identity.opens(sealed) and not identity.opens(other)
    with pytest.raises(Refused, match="does not open"):
        identity.open(other, "disk/alba1")


def test_a_wrong_passphrase_shows_nothing_of_the_key(tmp_path, new_key):
    new_key(tmp_path / "key", passphrase="correct horse")
    with pytest.raises(Refused, match="passphrase is wrong") as caught:
        identities.load(tmp_path / "key", lambda _what: "wrong")
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_an_age_identity_also_behind_a_passphrase(tmp_path):
    public, secret = age_pair()
    file = tmp_path / "age.key"
    file.write_text(f"# public key: {public}\n{secret}\n")
    file.chmod(0o600)
    assert identities.load(file, nobody).public == public
    file.write_bytes(pyrage.passphrase.encrypt(secret.encode(), "horse"))
    assert identities.load(file, lambda _what: "horse").public == public
    with pytest.raises(Refused):
        identities.load(file, lambda _what: "wrong")


def test_keys_that_age_cannot_use_or_others_can_read(tmp_path, new_key):
    new_key(tmp_path / "ecdsa", kind="ecdsa")
    with pytest.raises(BadInput, match="kind"):
        identities.load(tmp_path / "ecdsa", nobody)
    new_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(Refused, match="others"):
        identities.load(tmp_path / "key", nobody)
    with pytest.raises(BadInput, match="cannot be read"):
        identities.load(tmp_path / "none", nobody)
    (tmp_path / "text").write_text("hello")
    (tmp_path / "text").chmod(0o600)
    with pytest.raises(BadInput, match="holds no private key"):
        identities.load(tmp_path / "text", nobody)


# ── shares ──────────────────────────────────────────────────────────────────────────────────


def test_any_m_of_n_shares_give_the_recovery_key_back():
    secret, recipient = identities.new_recovery()
    lines = shares.split(secret, needed=2, shares=3)
    for some in (lines[:2], lines[1:], [lines[0], lines[2]], lines):
        text = identities.recovered(shares.combine(some))
        assert str(pyrage.x25519.Identity.from_str(text).to_public()) == recipient
    with pytest.raises(BadInput, match="1 of the 2"):
        shares.combine([lines[0], lines[0]])


def test_a_slip_of_the_pen_is_found_where_it_is():
    secret, _ = identities.new_recovery()
    one, two = shares.split(secret, needed=2, shares=2)
    words = two.split()
    with pytest.raises(BadInput, match="word 5") as caught:
        shares.combine([one, " ".join([*words[:4], words[4] + "x", *words[5:]])])
    assert caught.value.where == "share 2"
    assert words[4] in caught.value.mend
    swapped = [*words[:8], words[9], words[8], *words[10:]]
    if swapped != words:
        with pytest.raises(BadInput, match="checksum"):
            shares.combine([one, " ".join(swapped)])
    with pytest.raises(BadInput, match="32 words"):
        shares.combine([one, " ".join(words[:-1])])
    foreign = shares.split(secret, needed=2, shares=2)[1]
    with pytest.raises(BadInput, match="another set"):
        shares.combine([one, foreign])


@pytest.mark.parametrize(("needed", "of"), [(1, 3), (4, 3), (2, 17)])
def test_shares_that_cannot_be(needed, of):
    with pytest.raises(BadInput):
        shares.split(bytes(32), needed=needed, shares=of)


# ── bech32 and headers ──────────────────────────────────────────────────────────────────────


@settings(max_examples=100)
@given(st.binary(min_size=32, max_size=32), st.integers(min_value=18, max_value=71), st.data())
def test_bech32_is_ages_and_finds_every_wrong_character(secret, place, data):
    text = bech32.encode("age-secret-key-", secret)
    pyrage.x25519.Identity.from_str(text.upper())
    assert bech32.decode("age-secret-key-", text.upper()) == secret
    other = data.draw(st.sampled_from([c for c in bech32.CHARSET if c != text[place]]))
    assert bech32.decode("age-secret-key-", text[:place] + other + text[place + 1 :]) is None
    assert bech32.decode("age", text) is None


def test_a_header_tells_ssh_keys_by_tag_and_counts_the_others(tmp_path, new_key):
    keys = [new_key(tmp_path / kind, kind=kind) for kind in ("ed25519", "rsa")]
    readers = [pyrage.ssh.Recipient.from_str(key) for key in keys]
    readers += [pyrage.x25519.Identity.generate().to_public() for _ in range(2)]
    header = read_header(pyrage.encrypt(b"x", readers))
    assert header.tags == {tag_of(key) for key in keys}
    assert (header.anonymous, header.others) == (2, ())
    assert read_header(pyrage.passphrase.encrypt(b"x", "p")).others == ("scrypt",)
    for broken in (b"", b"hello", b"age-encryption.org/v1\n-> X25519 abc\n"):
        with pytest.raises(Failed):
            read_header(broken)


# ── generations, and sealing anew ───────────────────────────────────────────────────────────


@pytest.fixture
def two(tmp_path):
    """(secrets of Ana alone, the same for Ana and Bruno, (public, identity) of each)."""
    ana, bruno = age_pair(), age_pair()
    folders = (tmp_path / "secrets", tmp_path / "state")
    return AgeSecrets(*folders, [ana[0]]), AgeSecrets(*folders, [ana[0], bruno[0]]), ana, bruno


def identity(tmp_path, pair):
    return identities.from_text(tmp_path, pair[1])


def test_sealing_anew_lets_a_newcomer_in(two, tmp_path):
    before, after, ana, bruno = two
    before.escrow("disk/alba1", "s3cret", controller=True)
    sealed = before.sealed("disk/alba1")
    assert not identity(tmp_path, bruno).opens(sealed)
    assert after.sealed_to("disk/alba1") == (ana[0],)
    after.reseal("disk/alba1", "s3cret", opened=sealed)
    assert identity(tmp_path, bruno).open(after.sealed("disk/alba1"), "x") == "s3cret"
    assert after.sealed_to("disk/alba1") == (ana[0], bruno[0])
    assert after.header("disk/alba1").anonymous == 2
    assert len(after.generations("disk/alba1")) == 1
    assert after.reveal("disk/alba1") == "s3cret"


def test_sealing_anew_never_puts_an_older_secret_over_a_newer(two):
    _, keep, _, _ = two
    keep.escrow("disk/alba1", "old", controller=True)
    opened = keep.sealed("disk/alba1")
    keep.escrow("disk/alba1", "new", controller=True)
    with pytest.raises(Refused, match="meanwhile"):
        keep.reseal("disk/alba1", "old", opened=opened)


def test_nothing_is_sealed_to_nobody(two, tmp_path):
    _, keep, _, _ = two
    keep.escrow("disk/alba1", "s3cret", controller=True)
    nobody = AgeSecrets(tmp_path / "secrets", tmp_path / "state", [])
    with pytest.raises(BadInput, match="nobody"):
        nobody.reseal("disk/alba1", "s3cret", opened=keep.sealed("disk/alba1"))


def test_a_pending_secret_takes_the_place_and_the_old_one_stays(two, tmp_path):
    _, keep, ana, _ = two
    keep.escrow("disk/alba1", "old", controller=True)
    keep.escrow("disk-next/alba1", "new", controller=True)
    keep.promote("disk-next/alba1", "disk/alba1")
    keep.promote("disk-next/alba1", "disk/alba1")
    opener = identity(tmp_path, ana)
    files = keep.generations("disk/alba1")
    assert [opener.open(file.read_bytes(), "x") for file in files] == ["new", "old"]
    assert (keep.reveal("disk/alba1"), keep.reveal("disk-next/alba1")) == ("new", None)
    assert keep.names() == ["disk/alba1"]
    assert keep.sealed_to("disk/alba1") is not None
