"""smartctl's JSON in its dialects, read into one shape. Shapes of smartmontools 7.1 to 7.4."""

import pytest

from metal.burnin.smart import DiskHealth, read_smart


def attribute(id: int, name: str, value: int, raw: int, failed: str = "") -> dict:
    return {
        "id": id,
        "name": name,
        "value": value,
        "worst": value,
        "thresh": 10,
        "when_failed": failed,
        "flags": {"value": 51, "string": "PO--CK ", "prefailure": True},
        "raw": {"value": raw, "string": str(raw)},
    }


HDD = {
    "smartctl": {"version": [7, 4], "exit_status": 0},
    "device": {"name": "/dev/sda", "type": "sat", "protocol": "ATA"},
    "model_name": "ST4000NM0035-1V4107",
    "serial_number": "ZC11ABCD",
    "rotation_rate": 7200,
    "smart_support": {"available": True, "enabled": True},
    "smart_status": {"passed": True},
    "ata_smart_attributes": {
        "revision": 10,
        "table": [
            attribute(5, "Reallocated_Sector_Ct", 100, 12),
            attribute(187, "Reported_Uncorrect", 100, 0),
            attribute(197, "Current_Pending_Sector", 100, 8),
            attribute(198, "Offline_Uncorrectable", 100, 3),
        ],
    },
    "power_on_time": {"hours": 51234},
    "temperature": {"current": 38},
    "ata_smart_self_test_log": {
        "standard": {
            "revision": 1,
            "table": [
                {
                    "type": {"value": 1, "string": "Short offline"},
                    "status": {"value": 121, "string": "Completed: read failure", "passed": False},
                    "lifetime_hours": 51230,
                },
                {
                    "type": {"value": 1, "string": "Short offline"},
                    "status": {"value": 0, "string": "Completed without error", "passed": True},
                },
            ],
            "count": 2,
        }
    },
}
SSD = {
    "device": {"name": "/dev/bus/0", "type": "sat+megaraid,3", "protocol": "ATA"},
    "rotation_rate": 0,
    "smart_status": {"passed": False},
    "ata_smart_attributes": {
        "table": [
            attribute(177, "Wear_Leveling_Count", 7, 1890),
            attribute(179, "Used_Rsvd_Blk_Cnt_Tot", 1, 900, "now"),
        ]
    },
    "power_on_time": {"hours": 9000},
    "temperature": {"current": 31},
}
STATISTICS = {
    "rotation_rate": 0,
    "smart_status": {"passed": True},
    "ata_smart_attributes": {"table": [attribute(177, "Wear_Leveling_Count", 90, 1)]},
    "ata_device_statistics": {
        "pages": [
            {"number": 1, "table": [{"name": "Power-on Hours", "value": 12}]},
            {"number": 7, "table": [{"name": "Percentage Used Endurance Indicator", "value": 42}]},
        ]
    },
}
NVME = {
    "device": {"name": "/dev/nvme0", "type": "nvme", "protocol": "NVMe"},
    "smart_status": {"passed": True, "nvme": {"value": 0}},
    "nvme_smart_health_information_log": {
        "critical_warning": 1,
        "temperature": 41,
        "available_spare": 4,
        "available_spare_threshold": 10,
        "percentage_used": 93,
        "power_on_hours": 2401,
        "media_errors": 2,
    },
    "nvme_self_test_log": {
        "current_self_test_operation": {"value": 0, "string": "No self-test in progress"},
        "table": [
            {
                "self_test_code": {"value": 1, "string": "Short"},
                "self_test_result": {"value": 0, "string": "Completed without error"},
            }
        ],
    },
    "temperature": {"current": 41},
}
SCSI = {
    "device": {"name": "/dev/sg1", "type": "scsi", "protocol": "SCSI"},
    "rotation_rate": 10000,
    "smart_status": {"passed": True},
    "temperature": {"current": 34, "drive_trip": 68},
    "scsi_grown_defect_list": 56,
    "power_on_time": {"hours": 43549, "minutes": 33},
    "scsi_error_counter_log": {
        "read": {"errors_corrected_by_eccfast": 300357663, "total_uncorrected_errors": 4},
        "write": {"errors_corrected_by_eccfast": 0, "total_uncorrected_errors": 0},
    },
    "scsi_self_test_0": {
        "code": {"value": 1, "string": "Background short"},
        "result": {"string": "Completed, segment failed"},
    },
}
NO_ANSWER = {
    "smartctl": {"messages": [{"string": "Unable to detect device type"}], "exit_status": 1}
}

CASES = {
    "hdd": (
        HDD,
        DiskHealth(
            passed=True,
            reallocated=12,
            pending=8,
            uncorrectable=3,
            hours=51234,
            celsius=38,
            self_test="failed",
        ),
    ),
    "ssd behind megaraid": (
        SSD,
        DiskHealth(
            passed=False,
            failing=("Used_Rsvd_Blk_Cnt_Tot",),
            wear_percent=93,
            hours=9000,
            celsius=31,
        ),
    ),
    "ssd with statistics": (STATISTICS, DiskHealth(passed=True, wear_percent=42)),
    "nvme": (
        NVME,
        DiskHealth(
            passed=True,
            failing=("critical warning 0x01",),
            uncorrectable=2,
            wear_percent=93,
            spare_low=True,
            hours=2401,
            celsius=41,
            self_test="passed",
        ),
    ),
    "sas": (
        SCSI,
        DiskHealth(
            passed=True,
            reallocated=56,
            uncorrectable=4,
            hours=43549,
            celsius=34,
            self_test="failed",
        ),
    ),
    "no answer": (NO_ANSWER, DiskHealth()),
    "nothing": (None, DiskHealth()),
    "odd": ({"ata_smart_attributes": {"table": "none"}, "smart_status": []}, DiskHealth()),
}


@pytest.mark.parametrize("case", CASES)
def test_read(case: str) -> None:
    smart, wanted = CASES[case]
    assert read_smart(smart) == wanted


@pytest.mark.parametrize(
    ("number", "wanted"), [(0, "passed"), (2, None), (4, "failed"), (15, None)]
)
def test_scsi_self_test_by_number(number: int, wanted: str | None) -> None:
    smart = SCSI | {"scsi_self_test_0": {"result": {"value": number, "string": "…"}}}
    assert read_smart(smart).self_test == wanted


@pytest.mark.parametrize(("result", "wanted"), [(0, "passed"), (1, None), (5, "failed")])
def test_nvme_self_test(result: int, wanted: str | None) -> None:
    log = {"table": [{"self_test_result": {"value": result}}]}
    assert read_smart(NVME | {"nvme_self_test_log": log}).self_test == wanted
