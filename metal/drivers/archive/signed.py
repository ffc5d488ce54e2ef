"""OpenPGP signatures of an archive, checked by Sequoia.

A library and not `gpgv`: Debian 13 brings no gpgv by itself, Debian 12 no sqv, and neither is
where metal may run besides; the lab signs its mirror with the same.
"""

from pathlib import Path

from metal.model.errors import Failed, Refused


def verified(signed: bytes, keyring: Path, where: str) -> bytes:
    """What a cleartext-signed document says, if a key of `keyring` signed it; Failed otherwise.

    One good signature is enough, as for apt: Debian signs with the keys of two releases, and an
    older keyring has only one of them. Only what is returned was signed; the rest of `signed`
    (lines before and after) is anybody's.
    """
    import pysequoia

    certificates = _certificates(keyring)
    try:
        found = pysequoia.verify(signed, lambda _issuers: certificates)
    except Exception as error:
        raise _forged(where, keyring, str(error).splitlines()[0]) from None
    if not found.valid_sigs or found.bytes is None:
        raise _forged(where, keyring, "it is not signed")
    return bytes(found.bytes)


def _certificates(keyring: Path) -> list[object]:
    import pysequoia

    try:
        certificates = pysequoia.Cert.split_bytes(keyring.read_bytes())
    except OSError as error:
        raise Refused(
            f"no keyring to check the mirror's signatures with: {error.strerror}",
            where=str(keyring),
            mend="apt install debian-archive-keyring, or set archive_keyring in inventory.toml",
        ) from None
    except Exception:
        certificates = []
    if not certificates:
        raise Refused(
            "that file holds no OpenPGP keys",
            where=str(keyring),
            mend="set archive_keyring in inventory.toml to the keyring of your mirror",
        )
    return list(certificates)


def _forged(where: str, keyring: Path, why: str) -> Failed:
    return Failed(
        f"it is not signed by a key that is trusted: {why}",
        where=where,
        mend=f"nothing of it was used. Is the clock right, and is {keyring} the keyring of this "
        "archive and up to date? Otherwise somebody may be changing what the mirror sends",
    )
