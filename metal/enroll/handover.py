"""A donor's hand-over list: servers as a spreadsheet exports them. Pure but for `read`.

CSV in its wild forms: comma, semicolon or tab; quotes; any byte-order mark (Excel's "Unicode
text" is UTF-16); columns in any order under the names people give them; titles above the header.
A row that cannot be used is named file:line, and the others go on.
"""

import csv
import io
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from metal.model.addresses import ip_of
from metal.model.errors import BadInput, MetalError, Refused
from metal.model.visible import without_login

SPELLINGS = """
address   ip address ipaddress hostip addr adresse ipadresse
port      httpsport
name      host hostname server servername asset assetname rechner
user      username login account benutzer benutzername
password  pass passwd pw pwd secret passwort kennwort
site      location dc datacenter datacentre standort
rack      rackname racklocation rackno racknr racknumber cabinet schrank
unit      u ru rackunit position pos rackposition uposition he slot
serial    serialnumber serialno sn servicetag dellservicetag tag seriennummer productserial
notes     note comment comments remark remarks bemerkung
"""
MEANINGS = {
    spelling: line.split()[0] for line in SPELLINGS.splitlines() for spelling in line.split()
}
"""How a column is spelled, without blanks, signs and capitals → what it is."""
OF_BMC = re.compile(
    r"bmc|ipmi|ilo\d?|i?drac\d*|imm2?|xcc|cimc|irmc|oob|outofband|lightsout|mgmt|management"
)
"""What people call a BMC, in the title of a column: "iLO password", "out-of-band IP"."""
ADDRESSES = {"", "ip", "ipv4", "ipv6", "addr", "host", "hostname", "name", "fqdn", "dns", "url"}
"""What stands beside it where the column holds the address."""
AS_DELIVERED = re.compile(r"default|factory|initial")
LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "oe", "å": "aa"}
    | {"þ": "th", "ð": "d", "đ": "d", "ł": "l", "ı": "i"}
)
"""As their readers write them without; what has an accent only loses it."""
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
"""Byte-order marks."""
HTTPS = 443
"""The port where none is said."""
LARGEST = 4096
"""Servers in one list, as many as one scan looks for."""
BIGGEST = 8 * 1024 * 1024
"""Bytes of a list."""
COLUMNS = 256
"""What stands further to the right is nobody's."""
NOTHING = {"", "na", "none", "unknown", "tbd"}
"""What people write where they have nothing to say."""
TITLES = 20
"""Lines above the header at most."""


@dataclass(frozen=True)
class Row:
    """One server of the list."""

    where: str
    """file:line"""
    address: str
    port: int | None = None
    name: str | None = None
    """A name metal takes: the first label of the host name, in lower case."""
    written: str | None = None
    """What the list calls it, where more than that was done to it."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    site: str | None = None
    rack: str | None = None
    unit: int | None = None
    serial: str | None = None
    notes: str | None = None


class TooMany(BadInput):
    """No donor gives as many; a wrong file does."""


@dataclass(frozen=True)
class HandOver:
    rows: tuple[Row, ...]
    bad: tuple[MetalError, ...]
    """Each says file:line and what to correct."""


def read(file: Path) -> HandOver:
    """The list in `file`. BadInput if it cannot be read or has no column of addresses.

    Refused if it holds passwords and others than its owner may read it.
    """
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            raw = opened.read(BIGGEST + 1)
    except OSError as error:
        raise BadInput(
            f"cannot be read: {error.strerror}", where=str(file), mend="name a CSV file"
        ) from None
    if len(raw) > BIGGEST:
        what = f"is larger than any list of servers ({BIGGEST >> 20} MiB)"
        raise TooMany(what, where=str(file), mend="name the donor's list, saved as CSV")
    found = parse(_text(raw, file), str(file))
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and any(row.password for row in found.rows):
        raise Refused(
            "others than you may read the passwords in this list",
            where=str(file),
            mend=f"chmod 600 {file}",
        )
    return found


def _text(raw: bytes, file: Path) -> str:
    encoding = next((e for mark, e in MARKS.items() if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    if "\0" in text:
        raise BadInput("is no text", where=str(file), mend="save the list as CSV")
    return text


def parse(text: str, name: str) -> HandOver:
    """The list in `text`; `name` is what errors call it."""
    bad: list[MetalError] = []
    lines = _lines(text, name, bad)
    header = _header(lines, name)
    rows: list[Row] = []
    seen: dict[tuple[str, int | None], str] = {}
    for number, cells in lines:
        if not any(cells):
            continue
        where = f"{name}:{number}"
        try:
            row = _row(where, dict(zip(header, cells, strict=False)))
            key = (row.address, None if row.port == HTTPS else row.port)
            if key in seen:
                raise BadInput(
                    f"{row.address} is in {seen[key]} already", where=where, mend="remove one"
                )
            seen[key] = where
            rows.append(row)
        except MetalError as error:
            bad.append(error)
        if len(rows) + len(bad) > LARGEST:
            what = f"has more than {LARGEST} servers"
            raise TooMany(what, where=name, mend="give it in several lists")
    return HandOver(tuple(rows), tuple(bad))


def _lines(text: str, name: str, bad: list[MetalError]) -> Iterator[tuple[int, list[str]]]:
    """(number of the line it began on, cells without blanks around) of each row.

    A quote that is not closed ends the list: what stands behind it cannot be told apart.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    begins = 1
    try:
        for cells in reader:
            yield begins, [cell.strip() for cell in cells[:COLUMNS]]
            begins = reader.line_num + 1
    except csv.Error as error:
        what = f"this row and what follows cannot be read: {error}"
        bad.append(BadInput(what, where=f"{name}:{begins}", mend="close the quote, or double it"))


def _delimiter(text: str) -> str:
    """That which parts the first line that names an address; quotes do not matter there."""
    for line in text.splitlines()[:TITLES]:
        for delimiter in ";\t,|":
            cells = line.split(delimiter)[:COLUMNS]
            if len(cells) > 1 and any(_meaning(c) == "address" for c in cells):
                return delimiter
    return ","


def _header(lines: Iterator[tuple[int, list[str]]], name: str) -> list[str]:
    """What each column is; "" for one that means nothing here. Reads up to the header."""
    for _, (_, cells) in zip(range(TITLES), lines, strict=False):
        found = [_meaning(cell) for cell in cells]
        if "address" in found:
            # Of two columns of one meaning ("IP", "BMC IP") the one that names the BMC.
            return [_sole(i, found, cells) for i in range(len(found))]
    raise BadInput(
        "has no column of BMC addresses",
        where=name,
        mend="give the columns a header: address, name, user, password, site, rack, unit, "
        "serial, notes (address alone will do)",
    )


def _sole(index: int, found: list[str], cells: list[str]) -> str:
    rivals = [i for i, meaning in enumerate(found) if meaning == found[index]]
    of_bmc = [i for i in rivals if OF_BMC.search(_plain(cells[i]))]
    return found[index] if index == (of_bmc or rivals)[0] else ""


def _meaning(title: str) -> str:
    plain = _plain(title)
    if known := MEANINGS.get(plain):
        return known
    bare = AS_DELIVERED.sub("", OF_BMC.sub("", plain))
    found = MEANINGS.get(bare, "")
    if OF_BMC.search(plain) and (found == "address" or bare in ADDRESSES):
        return "address"
    return found if found in ("port", "user", "password") else ""


def _plain(title: str) -> str:
    return re.sub(r"[^a-z0-9]", "", title.lower())


def _row(where: str, cells: dict[str, str]) -> Row:
    def text(key: str) -> str | None:
        return cells.get(key) or None

    if ip_of(text("password")) or ip_of(text("user")):
        # Asked for by name, what stands in the other column would go to a name server.
        raise BadInput(
            "an address stands where the user or the password belongs",
            where=where,
            mend="see that each column is under its own title",
        )
    address, port = split_address(cells.get("address", ""), where)
    called = cells.get("name", "").split(".")[0].strip()
    name = slug(called)
    if text("password") and not text("user"):
        raise BadInput("a password without a user", where=where, mend="add the column `user`")
    if given := text("port"):
        port = _number(given, 1, 65535, "port", where)
    return Row(
        where=where,
        address=address,
        port=port,
        name=name,
        written=called if called and name != called.lower() else None,
        user=text("user"),
        password=text("password"),
        site=text("site"),
        rack=text("rack"),
        unit=_unit(cells.get("unit", ""), where),
        serial=text("serial"),
        notes=text("notes"),
    )


def split_address(text: str, where: str = "") -> tuple[str, int | None]:
    """(host, port) of "10.0.0.5", "10.0.0.5:8443", "[2001:db8::5]:8443", "https://bmc1.example/".

    BadInput when it is neither an IP address nor a host name; what may be a password in it is not
    repeated, and nothing of a list (`where` is its line), where a column may have slipped.
    """
    first, *more = text.split() or [""]
    shown = f"{first} …" if more else first
    if "@" in text:
        raise BadInput(
            "no log-in may stand before the address: others can read it there",
            where=where or without_login(text),
            mend="a list has columns user and password; else --credentials FILE, or "
            "METAL_BMC_USER and METAL_BMC_PASSWORD. Change a password that stood there",
        )
    no_address = "this is no address of a BMC" if where else f"{shown!r} is no address of a BMC"
    where = where or shown
    plain = re.sub(r"^https?://|/.*$", "", text.strip())
    host, port = plain, None
    if match := re.fullmatch(r"(?:\[(.+)\]|([^:]+)):(\d+)", plain):
        host = match[1] or match[2]
        port = _number(match[3], 1, 65535, "port", where)
    elif match := re.fullmatch(r"\[(.+)\]", plain):
        host = match[1]
    try:
        # Python takes anything for the name of a link behind %.
        return str(ip_address(re.sub(r"%(?![\w.-]+$)", "!", host))), port
    except ValueError:
        name = host.lower().rstrip(".")
        # Digits and dots only: an address with a slip, not a host name.
        if re.fullmatch(
            r"(?=.{1,253}$)[a-z0-9][a-z0-9-]{0,62}(\.[a-z0-9][a-z0-9-]{0,62})*", name
        ) and re.search("[a-z]", name):
            return name, port
    what = no_address if text else "no address"
    raise BadInput(what, where=where, mend="an IP address or a host name, such as 10.0.0.11")


def joined(address: str, port: int | None) -> str:
    """What `split_address` parts."""
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def slug(text: str) -> str | None:
    """A server name out of what people write, "buero-2" of "Büro 2"; None if nothing is left."""
    plain = unicodedata.normalize("NFKD", text.lower().translate(LETTERS))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if name and not name[0].isalpha():
        name = f"s{name}"
    return name[:40].rstrip("-") or None


def _unit(text: str, where: str) -> int | None:
    """The lowest of "12", "U12", "12-13", "HE 12/13"."""
    numbers = re.findall(r"\d+", text)
    if not numbers and re.sub("[^a-z]", "", text.lower()) in NOTHING:
        return None
    if not numbers:
        raise BadInput(f"unit {text!r} is no number", where=where, mend="such as 12, or none")
    return _number(min(numbers, key=int), 1, 60, "unit", where)


def _number(text: str, low: int, high: int, what: str, where: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if low <= number <= high:
        return number
    raise BadInput(
        f"{what} {text!r} is no number from {low} to {high}", where=where, mend="correct it"
    )
