"""`metal bmc capture`: the whole machine and nothing secret, good enough to be served again."""

import json
import os
import re
import signal
import stat
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.cli import main
from metal.cli.render.facts import facts_document
from metal.drivers.pseudonyms import anonymous
from metal.drivers.redfish import Redfish
from metal.drivers.redfish_capture import SKIPPED, capture
from metal.drivers.redfish_session import RedfishSession
from metal.drivers.scrubbing import SCRUBBED, scrubbed, unspelt
from metal.lab.recorded import read_tree, recorded_bmc
from metal.lab.redfish_bmc import RedfishBmc
from metal.model.errors import BadInput

TREES = Path(__file__).resolve().parents[2] / "../shared/bmc/redfish"
needs_trees = pytest.mark.skipif(not TREES.is_dir(), reason="no recorded machines beside us")
OWN = ("ADMIN", "only-for-this-test")
SMALL: dict[str, Any] = {
    "/redfish/v1/": {
        "@odata.id": "/redfish/v1/",
        "Systems": {"@odata.id": "/redfish/v1/Systems"},
        "AccountService": {"@odata.id": "/redfish/v1/AccountService/"},
        "Registries": {"@odata.id": "/redfish/v1/Registries"},
    },
    "/redfish/v1/Systems": {"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]},
    "/redfish/v1/Systems/1": {
        "Id": "1",
        "Boot": {"BootSourceOverrideTarget": "None"},
        "SerialNumber": "ABC12345",
        "UUID": "4c4c4544-0058-4b10-8051-b8c04f324c32",
        "Oem": {"Maker": {"SetupPassword": "hunter2", "LicenseKey": "AAAA-BBBB"}},
        "Links": {"Gone": {"@odata.id": "/redfish/v1/Gone"}},
    },
    "/redfish/v1/AccountService": {
        "MinPasswordLength": 8,
        "Snmp": {"CommunityString": "tr0ub4dor"},
        "Keys": [{"AuthorizedKeys": "ssh-rsa AAAAB3"}],
        "EthernetInterfaces": {"MACAddress": "B8:3F:D2:A4:1B:D2", "Address": "10.1.2.3"},
    },
}
PLANTED = ("hunter2", "AAAA-BBBB", "tr0ub4dor", "ssh-rsa AAAAB3")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    served: list[RedfishBmc] = []

    def start(tree: dict[str, Any]) -> RedfishBmc:
        plain = {path.rstrip("/"): body for path, body in tree.items()}
        bmc = recorded_bmc(
            plain, tmp_path, address="127.0.0.1", port=0, user=OWN[0], password=OWN[1]
        )
        served.append(bmc.start())
        return bmc

    yield start
    for bmc in served:
        bmc.stop()


def captured(bmc: RedfishBmc) -> dict[str, Any]:
    session = RedfishSession("127.0.0.1", bmc.port, None, 10)
    session.login(*OWN)
    try:
        return capture(session, seconds=60)
    finally:
        session.logout()


def facts(bmc: RedfishBmc) -> dict[str, Any]:
    driver = Redfish("127.0.0.1", *OWN, port=bmc.port)
    try:
        return facts_document(driver.facts())
    finally:
        driver.close()


def test_everything_but_the_secrets(serve: Any) -> None:
    tree = captured(serve(SMALL))
    assert set(tree) == set(SMALL)
    text = json.dumps(tree)
    assert not [secret for secret in PLANTED if secret in text]
    assert text.count(SCRUBBED) == len(PLANTED)
    assert tree["/redfish/v1/AccountService"]["MinPasswordLength"] == 8


def test_what_an_ilo_links_to_in_another_case_is_served(serve: Any) -> None:
    """A path of its own where the tree holds both."""
    system = "/redfish/v1/Systems/1"
    tree = SMALL | {system: SMALL[system] | {"Links": {"Bios": {"@odata.id": f"{system}/bios"}}}}
    tree |= {f"{system}/Bios": {"Attributes": {"BootMode": "Uefi"}}}
    found = captured(serve(tree))
    assert found[f"{system}/bios"] == tree[f"{system}/Bios"]
    assert captured(serve(tree | {f"{system}/bios": {"Id": "b"}}))[f"{system}/bios"] == {"Id": "b"}


NAMES = (
    *(
        "Password",
        "AdminPassword",
        "TransactionPassword",
        "SecretAction",
        "ReadOnlyCommunityString",
    ),
    *("ReadOnlyCommunity", "ReadWriteCommunityName", "AuthenticationKey", "AuthKey", "PrivKey"),
    *("PreSharedKey", "Psk", "WiFiPSK", "Passwd", "Pwd", "AdminPwd", "SmtpPass", "SessionKey"),
    *("ActivationKey", "License", "LicenseString", "AccessKey", "ApiKey", "APIKey"),
    *("Cookie", "PinCode", "PIN", "X-Auth-Token", "Salt", "SHA256Password", "admin_password"),
    *("Credentials", "SessionId", "KerberosKeytab", "PRIVATE KEY", "OTP", "TotpSeed", "Passwort"),
    *("KG", "BMCKg", "IpmiKg", "IPMI_Kg", "KvmPw", "AdminPw", "Pw", "KeyString", "AccessKeyId"),
    *("PKCS12", "Pfx", "PfxData", "HostKeyPrivate", "SshPrivateHostKey", "PrivateHostKeys"),
    *("PrivateKeyPem", "Communities", "Key", "JWT", "Bearer", "Authorization", "HttpHeaders"),
    *("X-Auth", "TpmOwnerAuth", "X@Oem.Password", "Password@Redfish.Default", "AuthKey@Oem.Was"),
)
HIDDEN = "hunter2"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "form",
    [
        lambda name: {name: HIDDEN},
        lambda name: {name: [HIDDEN, {"deep": {"v": HIDDEN}}]},
        lambda name: {name: {"Value": HIDDEN, "Name": HIDDEN}},
        lambda name: {name: [{"Name": HIDDEN}], "Oem": {"Wifi": {name: HIDDEN}}},
        lambda name: {"AttributeName": name, "CurrentValue": HIDDEN, "DefaultValue": HIDDEN},
        lambda name: {"Id": name, "Data": {"v": HIDDEN}},
        lambda name: {"Oem": [{"Name": name, "value": HIDDEN}]},
        lambda name: {"Settings": [[name, HIDDEN]]},
        lambda name: {"MessageArgs": ["root", name, HIDDEN, "10.0.0.5"]},
    ],
)
def test_a_secret_goes_however_it_is_named_and_wherever_it_stands(name: str, form: Any) -> None:
    assert HIDDEN not in json.dumps(scrubbed(form(name)))


TEXTS = (
    "nfs://root:%@10.0.0.5/share",
    "see ftp+ssl://root:a/%@10.0.0.5 for it",
    "mounted //backup:%@10.0.0.5/share",
    "mounted root:%@10.0.0.5:/iso",
    "password=%",
    "Pass: %",
    "user=a pw:%",
    "key=%",
    "SNMP.1.AgentCommunity = %",
    "Passwort: %",
    'the Admin Password was changed to "%" by root',
    "changed password of root from % to %",
    "password for user root set to %",
    "http://h/x?user=a&api_key=%",
    "password is: %",
    "Password for user root is now %",
    "new password % accepted",
    "pwd -> %",
    "Password\t%",
    "Kennwort lautet %",
    "contraseña: %",
    "mot de passe : %",
    "https://h/x?sig=%",
    "https://h/x?X-Amz-Signature=%&a=b",
    'SNMP community string "%" accepted',
    "rocommunity % 10.0.0.0/8",
    "{'passwd': '%'}",
    r"told {\"UserName\":\"a\",\"Password\":\"%\"}",
    "<Oem><Password>%</Password></Oem>",
    "<password type='plain'>%</password>",
    "Authorization: Basic cm9vdDpodW50ZXIy-%",
    "Authorization: Custom a=b, %",
    "Cookie: session=x; other=%",
    "X-Api-Key: %",
    "ran ipmitool -I lanplus -U ADMIN -P % lan print",
    "snmpset -v2c -c % h 1.3.6",
    "curl -k -u root:% https://h/",
    "-----BEGIN RSA PRIVATE KEY-----\n%\n-----END RSA PRIVATE KEY-----",
    "root:$6$salt$%",
    "it came with eyJhbGciOi.eyJzdWIiOiI.% in it",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_that_a_text_spells_out_goes(text: str) -> None:
    assert HIDDEN not in scrubbed({"Message": text.replace("%", HIDDEN)})["Message"]


SIGNS = string.ascii_letters + string.digits
WRITTEN = st.sampled_from([str, str.lower, str.upper, str.swapcase])


@given(
    name=st.sampled_from(NAMES),
    before=st.sampled_from(["", "Users.2.", "Oem_", "ipmi-", "Bmc", "$", "Old "]),
    written=WRITTEN,
    secret=st.text(SIGNS + "!#$%&()*+,-./:;=?@[]^_{|}~ ", min_size=1).map(lambda s: f"Zq9{s}9qZ"),
    deep=st.integers(0, 3),
)
def test_no_secret_survives_under_any_such_name(
    name: str, before: str, written: Any, secret: str, deep: int
) -> None:
    body: Any = {written(before + name): secret}
    for level in range(deep):
        body = [body] if level % 2 else {"Oem": body, "Id": "1"}
    text = json.dumps(scrubbed(body))
    assert "Zq9" not in text and "9qZ" not in text


@given(
    text=st.sampled_from([text for text in TEXTS if "eyJ" not in text]),
    around=st.tuples(*[st.text(SIGNS + " .,:\n", max_size=30).map(lambda s: f"{s} ")] * 2),
    secret=st.text(SIGNS + "!#$%*+-./:=?[]^_{|}~", max_size=30).map(lambda s: f"Zq9{s}9qZ"),
)
def test_no_secret_survives_in_any_such_text(
    text: str, around: tuple[str, str], secret: str
) -> None:
    out = unspelt(around[0] + text.replace("%", secret) + " " + around[1])
    assert "Zq9" not in out and "9qZ" not in out


def test_what_only_speaks_of_secrets_stays() -> None:
    """Links, rules and truths: without them the machine could not be served again."""
    said: dict[str, Any] = {
        "MinPasswordLength": 8,
        "PasswordExpiration": None,
        "PasswordChangeRequired": True,
        "Passwords": {"@odata.id": "/redfish/v1/Passwords", "Locked": False},
        "Actions": {"#ManagerAccount.ChangePassword": {"target": "/redfish/v1/A/ChangePassword"}},
        "AccountLockoutThreshold": 5,
        "HashAlgorithm": "SHA256",
        "Password": "",
        "Message": "The power supply in bay 2 failed at 12:30.",
        "Password@Redfish.AllowableValues": ["x"],
        "Passwords@odata.count": 3,
        "@Redfish.License": "Creative Commons",
        "WeightKg": 21,
        "SSHHostKey": "ssh-ed25519 AAAA",
        "Attributes": [{"Key": "BootMode", "Value": "Uefi"}],
        "Log": "sda: Sense Key: Medium Error, public key: AAAA",
        "Members@odata.nextLink": "/redfish/v1/Entries?$skiptoken=50",
    }
    assert scrubbed(said) == said


def test_the_password_of_the_capture_itself_is_nowhere_in_it(serve: Any) -> None:
    echo = {"Id": "1", "Notes": f"last log-in {OWN[0]} / {OWN[1]}"}
    tree = captured(serve(SMALL | {"/redfish/v1/Systems/1": echo}))
    assert OWN[0] in json.dumps(tree) and OWN[1] not in json.dumps(tree)


def test_half_a_character_is_served_as_it_was_captured(serve: Any) -> None:
    odd = {"Id": "1", "AssetTag": "\ud800x", "Boot": {"BootSourceOverrideTarget": "None"}}
    tree = captured(serve(SMALL | {"/redfish/v1/Systems/1": odd}))
    assert tree["/redfish/v1/Systems/1"]["AssetTag"] == "\ud800x"


@needs_trees
@pytest.mark.parametrize("name", ["supermicro-x10sdv-1", "intel-s2600bpb-1"])
def test_a_real_machine_survives_being_captured(serve: Any, name: str) -> None:
    whole = json.loads((TREES / name / "tree.json").read_text())
    first = serve(whole)
    again = captured(first)
    for path, body in again.items():
        first_page = {k: v for k, v in whole[path].items() if not k.endswith("nextLink")}
        assert body == scrubbed(first_page)
    reachable = [p for p in whole if not SKIPPED.search(p)]
    assert len(again) > 0.9 * len(reachable)
    assert facts(serve(again)) == facts(first)


@needs_trees
@pytest.mark.parametrize("name", sorted(d.name for d in TREES.glob("*")))
def test_facts_of_a_real_machine_are_none_of_its_secrets(serve: Any, name: str) -> None:
    tree = json.loads((TREES / name / "tree.json").read_text())
    assert facts(serve(scrubbed(tree))) == facts(serve(tree))


def test_pseudonyms_are_consistent_and_hide_all_of_it(serve: Any) -> None:
    tree = anonymous(captured(serve(SMALL)))
    text = json.dumps(tree).lower()
    for known in ("abc12345", "4c4c4544", "b8:3f:d2", "10.1.2.3"):
        assert known not in text
    system = tree["/redfish/v1/Systems/1"]
    assert len(system["SerialNumber"]) == 8 and system["UUID"].count("-") == 4
    twice = {"a": {"SerialNumber": "QSBP7410"}, "/x/QSBP7410": {"Name": "of QSBP7410"}}
    out = anonymous(twice, b"salt")
    new = out["a"]["SerialNumber"]
    assert out[f"/x/{new}"]["Name"] == f"of {new}"


TELLING = {
    "SerialNumber": "S3CRETSN",
    "NodeSN": "ALPHA12345",
    "ServiceTag": "ABC1234",
    "Attributes": {"ServerInfo.1.NodeID": "F54P1G3", "NIC.1.DNSRacName": "idrac-F54P1G3"},
    "BoardSerial": "XYZ98765",
    "HostName": "beech",
    "FQDN": "db1.corp.example.com",
    "NameServers": ["ns1.corp.example.com", "10.1.2.3"],
    "DNS": ["oak.hall.example.com"],
    "EmailAddress": "joe@uni.example",
    "UserName": "joe.admin",
    "MACAddress": "aabbccddeeff",
    "MACs": "AA:BB:CC:DD:EE:01 and aa-bb-cc-dd-ee-01",
    "LinkLocal": "fe80::1234:56ff:fe78:9abc",
    "Global": "2001:db80:0:1::7/64",
    "WWN": "5001438001234567",
    "Target": "iqn.1998-01.com.corp:host1",
    "Sas": "0x50014EE2B1234567",
    "Eui": "00:11:22:33:44:55:66:77",
    "DurableName": "NAA.50014EE2B7654321",
    "Contacts": [{"ContactName": "Joe", "PhoneNumber": "555-1234"}],
    "Location": {"PostalAddress": {"Street": "Main 5", "City": "Ulm"}},
}
HINTS = (
    *("s3cretsn", "alpha12345", "abc1234", "f54p1g3", "xyz98765", "beech", "corp", "uni.example"),
    *("joe", "aabbccddeeff", "bb:cc", "bb-cc", "1234:56ff", "2001:db80", "50014", "host1"),
    *("22:33", "oak.hall", "555-1234", "main 5", "ulm", "10.1.2.3"),
)


@pytest.mark.parametrize("hint", HINTS)
def test_nothing_tells_whose_machine_it_is(hint: str) -> None:
    texts = ["serial:S3CRETSN", "sn s3cretsn", "/images/IMG_ABC1234_2.bin", "Beech, of joe.admin"]
    texts += ["from joe@uni.example", "on db1.corp.example.com", "link aabbccddeeff is up"]
    tree = {"/redfish/v1/Systems/ABC1234": TELLING | {"Messages": texts}}
    assert hint in json.dumps(tree).lower()
    assert hint not in json.dumps(anonymous(tree, b"salt")).lower()


@given(
    key=st.sampled_from([k for k, v in TELLING.items() if isinstance(v, str) and k != "HostName"]),
    told=st.tuples(st.text(SIGNS, min_size=3, max_size=20), st.integers(10, 999)),
    written=WRITTEN,
    around=st.sampled_from(["%", "of %", "/x/%", "a-%-b", "n%m", "(%)", "x_%_y"]),
)
def test_what_names_a_machine_goes_from_every_text(
    key: str, told: tuple[str, int], written: Any, around: str
) -> None:
    named = f"{told[0]}{told[1]}"
    if key in ("LinkLocal", "Global", "Target", "Sas", "Eui", "MACs"):
        key = "SerialNumber"  # those are known by their form
    tree = {"/a": {key: named}, "/b": [around.replace("%", written(named))]}
    assert named.lower() not in json.dumps(anonymous(tree, b"salt")).lower()


def test_what_tells_nothing_stays() -> None:
    said: dict[str, Any] = {
        "@odata.id": "/redfish/v1/Managers",
        "Members@odata.count": 3,
        "UserName": "Administrator",
        "RoleId": "Administrator",
        "Manager": {"HostName": "Manager"},
        "SerialNumber": "To be filled by O.E.M.",
        "FirmwareVersion": "10.20.30.40",
        "Log": "at 12:30:45 fan 2 of beechwood failed: ControllerPort:Box:Bay 1I:3:4",
        "Host": {"HostName": "beech", "Any": "::", "Loop": "::1", "Mask": "255.255.255.0"},
        "NameServers": ["0.0.0.0"],
        "MACAddress": "00:00:00:00:00:00",
        "MACs": "hmac-sha2-256,umac-128-etm@openssh.com",
        "Description": "of Attributes@Redfish.Settings",
    }
    out = anonymous(said, b"salt")
    assert out.pop("Host").items() - said["Host"].items() == {("HostName", "rbohm")}
    assert out == {key: value for key, value in said.items() if key != "Host"}


def test_a_mac_is_one_pseudonym_however_it_is_written() -> None:
    out = anonymous(
        {"MACAddress": "AA:BB:CC:DD:EE:01", "x": "aabbccddee01", "y": "aa-bb-cc-dd-ee-01"}
    )
    assert out["MACAddress"].isupper()
    plain = {re.sub(r"[:-]", "", text).lower() for text in out.values()}
    assert len(plain) == 1 and re.fullmatch(r"[0-9a-f]{12}", plain.pop())


@needs_trees
@pytest.mark.parametrize("name", sorted(d.name for d in TREES.glob("*")))
def test_a_real_machine_hangs_together_under_pseudonyms(name: str) -> None:
    tree = scrubbed(json.loads((TREES / name / "tree.json").read_text()))
    out = anonymous(tree)
    assert len(out) == len(tree)
    assert sum(link in out for link in links(out)) == sum(link in tree for link in links(tree))
    before, after = (set(MAC.findall(json.dumps(t).lower())) for t in (tree, out))
    assert len(after) == len(before) and not before & after - {"00:00:00:00:00:00"}


MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")


def links(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["@odata.id"]] if isinstance(value.get("@odata.id"), str) else []
        return own + [link for inner in value.values() for link in links(inner)]
    return [link for inner in value for link in links(inner)] if isinstance(value, list) else []


@needs_trees
@pytest.mark.parametrize("name", ["supermicro-x10sdv-1", "intel-s2600bpb-1"])
def test_facts_are_of_the_same_machine_under_pseudonyms(serve: Any, name: str) -> None:
    tree = json.loads((TREES / name / "tree.json").read_text())
    was, now = facts(serve(tree)), facts(serve(anonymous(tree)))
    assert shape(now) == shape(was)


def shape(value: Any) -> Any:
    """What a machine is, without what it is called."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return len(value) if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("text", "why"),
    [("{", "no JSON"), ("[]", "no tree"), ('{"/redfish/v1": 3}', "no tree"), ("{}", "root")],
)
def test_a_file_that_is_no_capture(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "tree.json"
    file.write_text(text)
    with pytest.raises(BadInput, match=why):
        read_tree(file)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """`metal lab bmc` serves a file; capturing it gives a file that nobody else may read."""
    source, out = tmp_path / "tree.json", tmp_path / "again.json"
    source.write_text(json.dumps(SMALL))
    served = subprocess.Popen(
        [sys.executable, "-m", "metal", "lab", "bmc", "--tree", str(source), "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert served.stdout is not None
        where = json.loads("".join(iter_document(served.stdout)))
        monkeypatch.setenv("METAL_BMC_USER", "ADMIN")
        monkeypatch.setenv("METAL_BMC_PASSWORD", "factory-Pa55word")
        monkeypatch.chdir(tmp_path)
        target = f"{where['address']}:{where['port']}"
        assert main(["bmc", "capture", target, "--out", str(out)]) == 0
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        assert set(json.loads(out.read_text())) == set(SMALL)
        assert main(["enroll", "--dry-run", target, "-o", "json"]) == 0
        captured = capsys.readouterr().out
        assert '"ABC12345"' in captured
    finally:
        os.kill(served.pid, signal.SIGTERM)
        assert served.wait(10) == 0


def iter_document(lines: Any) -> Iterator[str]:
    """The lines of one JSON object that is printed over several."""
    for line in lines:
        yield line
        if line.rstrip() == "}":
            return
