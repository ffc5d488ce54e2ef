"""Our verdict on public keys against that of pyrage, which does the encrypting."""

import base64
import struct
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from metal.inventory.keys import key_problem


def openssh(private: Any) -> str:
    public = private.public_key()
    return str(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


ED25519 = openssh(ed25519.Ed25519PrivateKey.generate())
RSA = openssh(rsa.generate_private_key(65537, 2048))
AGE = str(pyrage.x25519.Identity.generate().to_public())


def age_takes(key: str) -> bool:
    """Whether pyrage can really encrypt to it."""
    try:
        kind = pyrage.x25519 if key.startswith("age1") else pyrage.ssh
        pyrage.encrypt(b"x", [kind.Recipient.from_str(key)])
    except (pyrage.RecipientError, pyrage.EncryptError, ValueError):
        return False
    return True


@pytest.mark.parametrize(
    "key",
    [ED25519, f"{ED25519} ana@example.org", RSA, f"{RSA} b", AGE],
    ids=["ed25519", "ed25519 with a comment", "rsa", "rsa with a comment", "age"],
)
def test_usable_keys(key: str) -> None:
    assert age_takes(key)
    assert key_problem(key) is None


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (openssh(ec.generate_private_key(ec.SECP256R1())), "ECDSA"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACBAP old@example.org", "DSA"),
        ("sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t a", "token"),
        (openssh(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        ("age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t", "plugin"),
        ("ssh-ed25519", "damaged"),
        ("ssh-ed25519 not-base64", "damaged"),
        (RSA.replace("ssh-rsa", "ssh-ed25519"), "damaged"),
        (AGE.upper(), "damaged"),
        (AGE[:-1], "damaged"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ("ana@example.org", "is no public key"),
        ("", "is no public key"),
    ],
    # The keys are made anew in each process: they cannot name the tests.
    ids=[str(number) for number in range(13)],
)
def test_unusable_keys_say_why(key: str, why: str) -> None:
    problem = key_problem(key)
    assert problem is not None and why in problem[0] and problem[1]


@given(st.sampled_from([AGE, ED25519, RSA]), st.data())
def test_a_slip_in_a_key_is_judged_as_age_judges_it(key: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(key) - 1))
    slip = data.draw(st.sampled_from("qpzry9xAQg= +/1b"))
    wrong = key[:at] + slip + key[at + data.draw(st.integers(0, 1)) :]
    if key_problem(wrong) is None:
        # A changed SSH key may be a sound key of somebody else's: nobody can see that.
        assert age_takes(wrong) or not key.startswith("age1")
    elif key == AGE:
        assert not age_takes(wrong)


def test_a_blob_that_is_cut_short_is_damaged() -> None:
    blob = base64.b64encode(struct.pack(">I", 11) + b"ssh-ed25519" + struct.pack(">I", 32) + b"x")
    problem = key_problem(f"ssh-ed25519 {blob.decode()}")
    assert problem is not None and "damaged" in problem[0]
