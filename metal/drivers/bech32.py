"""Bech32 (BIP 173), as age writes its keys: 32 bytes under the prefix age or AGE-SECRET-KEY-."""

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def encode(prefix: str, data: bytes) -> str:
    """`data` under `prefix`, in lower case."""
    values = _regroup(data, 8, 5, pad=True)
    residue = _residue(_spread(prefix) + values + [0] * 6) ^ 1
    checksum = [residue >> 5 * (5 - i) & 31 for i in range(6)]
    return f"{prefix}1" + "".join(CHARSET[v] for v in values + checksum)


def decode(prefix: str, text: str) -> bytes | None:
    """The bytes; None when the prefix is another or a character is wrong."""
    low = text.lower()
    head, one, tail = low.rpartition("1")
    if text not in (low, text.upper()) or not one or head != prefix:
        return None
    if len(tail) < 6 or any(c not in CHARSET for c in tail):
        return None
    values = [CHARSET.index(c) for c in tail]
    if _residue(_spread(prefix) + values) != 1:
        return None
    return bytes(_regroup(values[:-6], 5, 8, pad=False))


def _spread(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def _residue(values: list[int]) -> int:
    residue = 1
    for value in values:
        top = residue >> 25
        residue = (residue & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(_GENERATORS):
            residue ^= generator if top >> i & 1 else 0
    return residue


def _regroup(values: "bytes | list[int]", width: int, to: int, *, pad: bool) -> list[int]:
    """Bits regrouped from `width` to `to`; what is left over is padded with zeros or dropped."""
    gathered, bits, out = 0, 0, []
    for value in values:
        gathered, bits = gathered << width | value, bits + width
        while bits >= to:
            bits -= to
            out.append(gathered >> bits & (1 << to) - 1)
        gathered &= (1 << bits) - 1
    if pad and bits:
        out.append(gathered << to - bits)
    return out
