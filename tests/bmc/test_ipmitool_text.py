"""ipmitool's outputs, the ten of real machines and smaller ones, field by field."""

from pathlib import Path

import pytest

from metal.drivers.ipmi_identity import Fru, identity
from metal.drivers.ipmitool_text import read, read_sensors
from metal.model.errors import BadInput
from metal.model.facts import Account, BootOnce, LogEntry

SAMPLES = Path(__file__).resolve().parents[2] / "../shared/bmc/ipmi"


def _sample(name: str) -> str:
    file = SAMPLES / f"{name}.txt"
    if not file.exists():
        pytest.skip("the recorded outputs are not there")
    return file.read_text(encoding="utf-8")


# ── The ten ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "dell-r720-idrac7.fru_print",
            {
                "vendor": "Dell",
                "model": "PowerEdge R720",
                "serial": "CRCGY12",
                "sku": "CRCGY12",
                "board_serial": "CN7016346J01AM",
            },
        ),
        (
            "supermicro-x10drg-q.fru_print",
            {
                "vendor": "Supermicro",
                "model": "SYS-7048GR-TR",
                "serial": "E16953528901097",
                "sku": None,
                "board_serial": "VM187S012298",
            },
        ),
        ("hp-dl360-g6-g7.mc_info", {"vendor": "HP", "bmc_firmware": "1.28", "model": None}),
        ("supermicro-generic.chassis_status", {"power_state": "on", "health": "ok"}),
        ("lenovo-ibm-imm2.lan_print", {"bmc_mac": "08:94:ef:01:ed:c4", "nics": None}),
    ],
)
def test_the_facts_of_the_real_ones(name: str, expected: dict[str, object]) -> None:
    facts = read(_sample(name)).facts
    assert facts is not None
    assert {key: getattr(facts, key) for key in expected} == expected
    silent = {key for key, value in facts if value is None and key != "node"}
    assert silent <= set(facts.unknown)


def test_the_sensors_of_an_hp() -> None:
    told = read(_sample("hp-dl360-g6-g7.sdr_elist"))
    assert told.facts and told.facts.psus and told.health
    assert [(p.name, p.health) for p in told.facts.psus] == [
        ("Power Supply 1", "critical"),
        ("Power Supply 2", "ok"),
    ]
    assert told.health.model_dump() == {
        "cooling": True,
        "health": "critical",
        "reasons": (
            "Power Supply 1: failure detected",
            "Power Supplies: non-redundant: sufficient from redundant",
            "Memory: correctable ecc, correctable ecc logging limit reached",
        ),
    }


def test_the_log_of_an_hp() -> None:
    text = "Memory #0x2b: Correctable ECC logging limit reached"
    assert read(_sample("hp-dl360-g6-g7.sel_list")).log == (
        LogEntry(at="2021-06-29T08:18:06+00:00", severity="warning", text=text),
        LogEntry(at="2021-11-03T15:01:48+00:00", severity="warning", text=text),
    )


def test_what_a_lenovo_exposes() -> None:
    told = read(_sample("lenovo-ibm-imm2.lan_print")).exposure
    assert told is not None
    assert told.cipher_suites == tuple(range(1, 17))
    assert (told.auth_types, told.snmp_communities) == (("md5", "password"), ("public",))
    assert told.anonymous is None and told.unknown["anonymous"]


def test_the_users_of_a_lenovo() -> None:
    told = read(_sample("lenovo-ibm-imm2.user_list"))
    assert told.accounts == (Account(name="Administrator", role="Administrator", id="2"),)
    assert told.exposure and told.exposure.anonymous is False


def test_a_persistent_override_is_not_the_next_boot_alone() -> None:
    told = read(_sample("generic.bootparam_valid_persistent"))
    assert (told.kind, told.boot_once) == ("bootparam", None)


def test_a_wrong_password() -> None:
    told = read(_sample("err.rakp2"))
    assert (told.kind, told.exit_code) == ("error", 3)
    assert told.error and "password is wrong" in told.error and told.mend


# ── Who made it: I14 to I17 ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fru", "maker", "expected"),
    [
        (
            Fru(product_maker="DELL", product_name="web-01", board_product="PowerEdge R710"),
            None,
            ("Dell", "PowerEdge R710"),
        ),
        (
            Fru(
                board_maker="Supermicro",
                product_maker="Nutanix",
                product_name="NONE",
                product_part="NX-3060-G5",
            ),
            None,
            ("Supermicro", "NX-3060-G5"),
        ),
        (
            Fru(
                board_maker="Intel Corporation",
                board_product="S2600KPR",
                product_maker="....................",
                product_name="....................",
                product_part="............",
            ),
            None,
            ("Intel", "S2600KPR"),
        ),
        (Fru(product_name="ProLiant DL360 G7"), 11, ("HP", "ProLiant DL360 G7")),
        (Fru(product_name="x3650 M5\x00\x00"), 20301, ("IBM", "x3650 M5")),
        (Fru(product_name="   ", board_product="\ufffd\ufffd"), 99999, (None, None)),
        (
            Fru(product_name="UCSC-C200..........", board_maker="Cisco"),
            5771,
            ("Cisco", "UCSC-C200"),
        ),
    ],
)
def test_names(fru: Fru, maker: int | None, expected: tuple[str | None, str | None]) -> None:
    told = identity(fru, maker)
    assert (told.vendor, told.model) == expected


def test_i16_a_broken_first_fru_leaves_the_others() -> None:
    told = read(
        "FRU Device Description : Builtin FRU Device (ID 0)\n Unknown FRU header version 0x00\n\n"
        "FRU Device Description : PSU1 (ID 3)\n Board Mfg : DELTA\n\n"
        "FRU Device Description : MB (ID 5)\n Product Manufacturer : HPE\n"
        " Product Name : ProLiant DL380 Gen10\n Product Part Number : 868703-B21\n"
        " Product Serial : CZ1234\n"
    ).facts
    assert told is not None
    assert (told.vendor, told.model, told.serial) == ("HPE", "ProLiant DL380 Gen10", "CZ1234")
    assert told.sku == "868703-B21"


def test_i17_an_unknown_maker_is_known_by_number() -> None:
    text = (
        "Device ID : 32\nFirmware Revision : 1.80\nManufacturer ID : {}\nManufacturer Name : {}\n"
    )
    for number, name, vendor in (
        ("20301", "Unknown (0x4F4D)", "IBM"),
        ("19046 (0x4A66)", "Unknown (0x4A66)", "Lenovo"),
        ("6569", "Unknown (0x19A9)", "Inventec"),
        ("123456", "Unknown (0x1E240)", None),
    ):
        facts = read(text.format(number, name)).facts
        assert facts and facts.vendor == vendor
        assert facts.bmc_firmware == "1.80"


# ── Sensors: I18, I19 ────────────────────────────────────────────────────────────────────────


def test_i18_the_text_decides_and_the_column_too() -> None:
    told = read(
        "PS1 Status       | 01h | ok  | 10.1 | Presence detected, Power Supply AC lost\n"
        "PS2 Status       | 02h | ok  | 10.2 | Presence detected\n"
        "Inlet            | 03h | cr  | 55.1 | 60 degrees C\n"
        "Fan 1            | 04h | nc  | 29.1 | 900 RPM\n"
        "Drive 0          | 05h | ok  | 26.1 | Drive Present, Predictive Failure\n"
        "CPU1             | 06h | ok  |  3.1 | Presence detected\n"
        "Old              | 07h | ns  |  3.9 | No Reading\n"
    )
    assert told.health and told.facts and told.facts.psus
    assert told.health.reasons == (
        "PS1 Status: power supply ac lost",
        "Inlet: beyond its critical threshold (60 °C)",
        "Fan 1: beyond its warning threshold (900 RPM)",
        "Drive 0: predictive failure",
    )
    assert [(p.name, p.health) for p in told.facts.psus] == [
        ("PS1 Status", "critical"),
        ("PS2 Status", "ok"),
    ]


def test_i19_names_that_repeat_are_told_apart() -> None:
    text = (
        "Status           | 64h | ok  | 10.1 | Presence detected\n"
        "Status           | 65h | ok  | 10.2 | Presence detected, Failure detected\n"
        "Temp             | 0Eh | ok  |  3.1 | 40 degrees C\n"
    )
    told = read(text)
    assert told.health and told.health.reasons == ("Status (Power supply, 65h): failure detected",)
    assert told.facts and [p.name for p in told.facts.psus or ()] == [
        "Status (Power supply, 64h)",
        "Status (Power supply, 65h)",
    ]


def test_the_short_list_of_sensors_too() -> None:
    text = "CPU Temp         | 0x00              | ok\nFAN 1            | 2025 RPM          | nc\n"
    assert [(s.name, s.level, s.value) for s in read_sensors(text)] == [
        ("CPU Temp", "ok", "0x00"),
        ("FAN 1", "warning", "2025 RPM"),
    ]


# ── Boot flags, log, exposure: I06, I08, I09, I20 ────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "state", "expected"),
    [
        ("a004000000", "valid/unlocked", BootOnce(device="network", mode="uefi")),
        ("8014000000", "valid/unlocked", BootOnce(device="media", mode="bios")),
        ("8008000000", "valid/unlocked", BootOnce(device="disk", mode="bios")),
        ("0004000000", "valid/unlocked", None),
        ("8004000000", "invalid/locked", None),
        ("c004000000", "valid/unlocked", None),
    ],
)
def test_boot_flags(data: str, state: str, expected: BootOnce | None) -> None:
    text = f"Boot parameter version: 1\nBoot parameter 5 is {state}\nBoot parameter data: {data}\n"
    assert read(text).boot_once == expected


def test_boot_flags_of_an_ipmitool_that_shows_no_bytes() -> None:
    text = " Boot Flags :\n   - {}\n   - Options apply to only next boot\n   - BIOS EFI boot\n"
    text += "   - Boot Device Selector : Force PXE\n"
    assert read(text.format("Boot Flag Valid")).boot_once == BootOnce(device="network", mode="uefi")
    assert read(text.format("Boot Flag Invalid")).boot_once is None


def test_logs_of_other_versions_and_clocks() -> None:
    told = read(
        "   1 |  Pre-Init  |0000000012| System Event #0x1 | OEM System boot event | Asserted\n"
        "   2 | 01/01/1970 | 00:00:27 | Fan #0x30 | Lower Critical going low | Asserted\n"
        "   a | 11/25/26 | 07:01:02 PM CET | Power Supply #0x51 | Failure detected | Asserted\n"
        "   b | 11/25/2026 | 19:02:00 UTC | Power Supply #0x51 | Failure detected | Deasserted\n"
    ).log
    assert told is not None
    assert [(e.at, e.severity) for e in told] == [
        (None, "ok"),
        (None, "critical"),
        ("2026-11-25T19:01:02+00:00", "critical"),
        ("2026-11-25T19:02:00+00:00", "ok"),
    ]
    assert told[3].text == "Power Supply #0x51: Failure detected (over)"
    assert read("SEL has no entries\n").log == ()


def test_i06_cipher_0_and_auth_none() -> None:
    text = (
        "Set in Progress         : Set Complete\n"
        "Auth Type Support       : NONE MD2 MD5 PASSWORD \n"
        "Auth Type Enable        : Callback : NONE \n"
        "                        : Admin    : MD5 \n"
        "SNMP Community String   : s3cret\n"
        "RMCP+ Cipher Suites     : 0,1,2,3\n"
        "Cipher Suite Priv Max   : {}\n"
        "                        :     X=Cipher Suite Unused\n"
    )
    told = read(text.format("aXXaXXXXXXXXXXX")).exposure
    assert told and (told.cipher_suites, told.auth_types) == ((0, 3), ("none", "md5"))
    assert told.snmp_communities == ()
    told = read(text.format("Not Available")).exposure
    assert told and told.cipher_suites == (0, 1, 2, 3)
    told = read("Set in Progress         : Set Complete\n").exposure
    assert told and told.cipher_suites is None and told.auth_types is None


def test_i06_a_nameless_user_that_gets_in() -> None:
    told = read(
        "ID  Name             Callin  Link Auth  IPMI Msg   Channel Priv Limit\n"
        "1                    false   false      true       ADMINISTRATOR\n"
        "2   two words        false   false      true       OPERATOR\n"
        "3                    true    false      false      Unknown (0x00)\n"
    )
    assert [(a.name, a.role, a.id) for a in told.accounts or ()] == [
        ("", "Administrator", "1"),
        ("two words", "Operator", "2"),
    ]
    assert told.exposure and told.exposure.anonymous is True


@pytest.mark.parametrize(
    ("lines", "full"),
    [
        ("Free Space : 0 bytes\nPercent Used : 100%\nOverflow : true", True),
        ("Free Space : 8000 bytes\nPercent Used : 12%\nOverflow : false", False),
        ("Percent Used : unknown", None),
    ],
)
def test_i20_a_full_log(lines: str, full: bool | None) -> None:
    told = read(f"SEL Information\nVersion : 1.5\n{lines}\n").exposure
    assert told and told.log_full is full


# ── Errors ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "code", "way"),
    [
        ("Error in open session response message : no matching cipher suite", 3, "-C 17"),
        ("Error in open session response message : invalid authentication algorithm", 3, "-C 3"),
        ("Error in open session response message : insufficient resources for session", 4, "60 s"),
        ("Set Session Privilege Level to ADMINISTRATOR failed", 3, "-L OPERATOR"),
        ("RAKP 2 message indicates an error : unauthorized name", 3, "password"),
        ("Unable to Get Channel Cipher Suites", 1, "-C"),
        ("Info: SOL payload already active on another session", 1, "deactivate"),
        ("Error: Unable to establish IPMI v2 / RMCP+ session", 4, "switched on"),
    ],
)
def test_errors_have_a_way_out(text: str, code: int, way: str) -> None:
    told = read(f"{text}\nError: Unable to establish IPMI v2 / RMCP+ session\n")
    assert (told.kind, told.exit_code) == ("error", code)
    assert told.mend and way in told.mend


def test_what_is_no_output_of_ipmitool() -> None:
    with pytest.raises(BadInput, match="no output of ipmitool") as caught:
        read("hello\n", "note.txt")
    assert caught.value.where == "note.txt"
