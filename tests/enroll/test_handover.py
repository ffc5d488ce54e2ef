"""Lists as donors write them; a row that cannot be used never costs the others."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.enroll import handover
from metal.enroll.handover import Row, joined, parse, read, slug, split_address
from metal.model.errors import BadInput, Refused

LISTS = {
    "comma": "address,name,user,password,unit\n10.0.0.5,web1,root,calvin,12\n",
    "semicolon": "address;name;user;password;unit\n10.0.0.5;web1;root;calvin;12\n",
    "tab": "address\tname\tuser\tpassword\tunit\n10.0.0.5\tweb1\troot\tcalvin\t12\n",
    "order": "Password,U,Host,BMC,Login\ncalvin,12,web1,10.0.0.5,root\n",
    "spelling": "iDRAC IP,Host Name,User Name,Pass,Rack-Unit\n"
    "10.0.0.5,WEB1.foo.org,root,calvin,U12\n",
    "german": "IP-Adresse;Rechner;Benutzer;Kennwort;HE\n10.0.0.5;web1;root;calvin;12\n",
    "quotes": '"address","name","user","password","unit"\n"10.0.0.5","web1","root","calvin","12"\n',
    "titles": "Servers we give away,,,,\n,,,,\naddress,name,user,password,unit\n"
    "10.0.0.5,web1,root,calvin,12\n",
    "line ends": "address,name,user,password,unit\r\n10.0.0.5,web1,root,calvin,12\r\n",
    "two addresses": "IP,BMC IP,name,user,password,unit\n1.2.3.4,10.0.0.5,web1,root,calvin,12\n",
    "url": "address,name,user,password,unit\nhttps://10.0.0.5/login,web1,root,calvin,12-13\n",
    "ilo": "iLO IP Address,Server Name,iLO User Name,iLO Password,Rack Position,iLO MAC\n"
    "10.0.0.5,web1,root,calvin,12,94:18:82:00:00:01\n",
    "idrac": "Hostname,IP,iDRAC9 IP,iDRAC default user,iDRAC default password,RU\n"
    "web1,1.2.3.4,10.0.0.5,root,calvin,12\n",
    "out of band": "Out-of-band hostname|Asset|Factory login|Factory password|U|BMC serial\n"
    "10.0.0.5|web1|root|calvin|12|B1\n",
    "ipmi": "IPMI address,Name,IPMI username,IPMI pass,U position\n10.0.0.5,web1,root,calvin,12\n",
    "more": "address,colour,name,user,password,unit\n10.0.0.5,red,web1,root,calvin,12\n",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_wild_forms_of_one_list(text: str) -> None:
    found = parse(text, "list.csv")
    [row] = found.rows
    assert found.bad == ()
    assert (row.address, row.name, row.user, row.password, row.unit) == (
        "10.0.0.5",
        "web1",
        "root",
        "calvin",
        12,
    )
    assert row.where.startswith("list.csv:")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes("address,notes\n10.0.0.5,Müllhalde\n".encode(encoding))
    assert read(file).rows[0].notes == "Müllhalde"


def test_bad_rows_are_named_and_the_good_ones_go_on() -> None:
    text = (
        "address,unit,user,password\n"
        "10.0.0.5,,,\n"
        ",3,,\n"
        "10.0.0.300,,,\n"
        "10.0.0.6,99,,\n"
        "\n"
        "10.0.0.5,,,\n"
        "10.0.0.7,,,alone\n"
        '10.0.0.8,"1\nor 2",,\n'
        "10.0.0.9,1,,\n"
    )
    found = parse(text, "l.csv")
    assert [r.address for r in found.rows] == ["10.0.0.5", "10.0.0.8", "10.0.0.9"]
    assert [e.where for e in found.bad] == [f"l.csv:{n}" for n in (3, 4, 5, 7, 8)]
    assert found.rows[-1].where == "l.csv:11"
    assert "l.csv:2 already" in str(found.bad[3])
    assert "alone" not in "".join(map(str, found.bad)), "a password is in no error"


def test_an_open_quote_is_said_and_loses_nothing_before_it() -> None:
    found = parse('address,notes\n10.0.0.5,fine\n10.0.0.6,"open\n10.0.0.7,x\n', "l.csv")
    assert [r.address for r in found.rows] == ["10.0.0.5"]
    assert found.bad[0].where == "l.csv:3" and "what follows" in found.bad[0].what


def test_passwords_may_hold_what_parts_the_list() -> None:
    [row] = parse('address;user;password\n10.0.0.5;root;"a;b""c"\n', "l.csv").rows
    assert row.password == 'a;b"c'
    assert 'a;b"c' not in repr(row)


@pytest.mark.parametrize("text", ["", "name,user\nweb1,root\n", "10.0.0.5\n10.0.0.6\n"])
def test_a_list_without_addresses(text: str) -> None:
    with pytest.raises(BadInput, match="no column of BMC addresses"):
        parse(text, "l.csv")


def test_a_list_with_passwords_that_others_may_read(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("address,user,password\n10.0.0.5,root,calvin\n")
    file.chmod(0o640)
    with pytest.raises(Refused, match="chmod 600") as refused:
        read(file)
    assert "calvin" not in str(refused.value)
    file.chmod(0o600)
    assert read(file).rows[0].password == "calvin"
    file.write_text("address\n10.0.0.5\n")
    file.chmod(0o644)
    assert read(file).rows[0].address == "10.0.0.5", "without passwords anybody may read it"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "none.csv")
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\0\0\0")
    with pytest.raises(BadInput, match="no text"):
        read(tmp_path / "image.csv")


ADDRESSES = st.ip_addresses().map(str) | st.from_regex(
    r"[a-z][a-z0-9]{0,9}\.[a-z]{2,5}", fullmatch=True
)


@given(ADDRESSES, st.none() | st.integers(1, 65535))
def test_an_address_and_port_are_joined_and_parted(address: str, port: int | None) -> None:
    assert split_address(joined(address, port)) == (address, port)


@given(st.text(max_size=60))
def test_whatever_a_list_holds_it_ends_in_rows_or_errors(text: str) -> None:
    found = parse(f"address,name,unit\n{text}\n10.9.9.9,last,1\n", "l.csv")
    assert found.bad or found.rows
    assert all(isinstance(row, Row) for row in found.rows)


@given(st.text(max_size=60))
def test_a_name_is_one_or_none(text: str) -> None:
    from metal.model.base import Frozen
    from metal.model.fleet import Name

    class Named(Frozen):
        name: Name

    made = slug(text)
    assert made is None or Named(name=made).name == made


@pytest.mark.parametrize(
    ("text", "name", "written"),
    [
        ("Büro 2", "buero-2", "Büro 2"),
        ("Gdańsk-Łódź", "gdansk-lodz", "Gdańsk-Łódź"),
        ("KØBENHAVN", "koebenhavn", "KØBENHAVN"),
        ("Web1.old.example", "web1", None),
        ("服务器", None, "服务器"),
        ("", None, None),
    ],
)
def test_a_name_is_written_as_its_readers_would(
    text: str, name: str | None, written: str | None
) -> None:
    [row] = parse(f"address,name\n10.0.0.5,{text}\n", "l.csv").rows
    assert (row.name, row.written) == (name, written)


@pytest.mark.parametrize(("text", "unit"), [("n/a", None), ("-", None), ("U12-13", 12)])
def test_a_unit_that_is_not_known(text: str, unit: int | None) -> None:
    [row] = parse(f"address,unit\n10.0.0.5,{text}\n", "l.csv").rows
    assert row.unit == unit


def test_a_unit_that_is_no_number() -> None:
    [bad] = parse("address,unit\n10.0.0.5,zwei\n", "l.csv").bad
    assert "unit 'zwei' is no number" in str(bad) and bad.where == "l.csv:2"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[fe80::1%eth0]:443", ("fe80::1%eth0", 443)),
        ("fe80::1%en-p1.5", ("fe80::1%en-p1.5", None)),
        ("[::1]", ("::1", None)),
        ("https://[2001:db8::5]:8443/x", ("2001:db8::5", 8443)),
    ],
)
def test_addresses_of_a_link(text: str, parts: tuple[str, int | None]) -> None:
    assert split_address(text) == parts


@pytest.mark.parametrize("text", ["fe80::1%eth0]:443", "fe80::1%a b", "fe80::1%", "-x", "a.-b"])
def test_what_looks_like_an_address_and_is_none(text: str) -> None:
    with pytest.raises(BadInput, match="no address of a BMC"):
        split_address(text)


def test_a_wrong_file_is_no_list_of_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "LARGEST", 2)
    with pytest.raises(BadInput, match="more than 2 servers"):
        parse("address\n" + "".join(f"10.0.0.{i}\n" for i in range(1, 4)), "list.csv")


LOG_INS = (
    "root:calvin-0@10.0.0.5",
    "root:calvin-0@10.0.0.5:443",
    "https://root:calvin-0@10.0.0.5/",
    "https://root:a@calvin-0@10.0.0.5/redfish",
    "root:x/calvin-0@bmc1.example.org",
    "root:calvin-0@[2001:db8::5]:443",
    ":calvin-0@10.0.0.5",
)


@pytest.mark.parametrize("text", LOG_INS)
def test_a_password_before_an_address_is_not_repeated(text: str) -> None:
    with pytest.raises(BadInput) as alone:
        split_address(text)
    [listed] = parse(f"address,name\n{text},a\n", "l.csv").bad
    for error in (alone.value, listed):
        assert "calvin" not in f"{error!r} {error}"
        assert "columns user and password" in error.mend
    assert listed.where == "l.csv:2"


@pytest.mark.parametrize(
    "row",
    ["hunter2-word,root,10.0.0.11", "root,10.0.0.11,hunter2", "Hunter2!/x,root,", "hunter2:,,"],
)
def test_nothing_of_a_row_whose_columns_slipped_is_repeated(row: str) -> None:
    """Nor asked of a name server."""
    found = parse(f"address,user,password\n{row}\n", "list.csv")
    (error,) = found.bad
    assert not found.rows and error.where == "list.csv:2"
    assert "unter2" not in str(error)


def test_words_behind_an_address_are_not_repeated() -> None:
    with pytest.raises(BadInput, match=r"'10\.0\.0\.5 …'") as error:
        split_address("10.0.0.5 root calvin-0")
    assert "calvin" not in str(error.value)


@pytest.mark.parametrize(
    "raw",
    [b"address\n" + b"x y\n" * 5000, b"address\n10.0.0.1\n" + b"\n" * 9 * 2**20],
    ids=["nothing but bad rows", "nothing but empty lines"],
)
def test_a_file_without_end_is_no_list(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(raw)
    with pytest.raises(handover.TooMany):
        handover.read(file)


def test_a_hundred_thousand_columns_are_not_looked_through() -> None:
    """What is looked for in each of them, and each compared with each, would take an hour."""
    titles = ",".join(["address", *["port"] * 100_000])
    found = parse(f"{titles}\n10.0.0.5,\n", "list.csv")
    assert [row.address for row in found.rows] == ["10.0.0.5"]


def test_one_bmc_under_two_spellings_is_one() -> None:
    """Two sessions at once, and the second finds its password changed by the first."""
    found = parse("address\n10.0.0.5\nhttps://10.0.0.5/\n10.0.0.5:443\n10.0.0.5:8443\n", "l")
    assert [row.port for row in found.rows] == [None, 8443]
    assert [error.where for error in found.bad] == ["l:3", "l:4"]
