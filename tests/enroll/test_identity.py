"""Which machines are one: serials that are shared, UUIDs that turn round, nodes of one chassis."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.enroll.identity import another, canonical_uuid, compare, is_serial, recognise, same
from metal.model.fleet import Learned

ONE = "4c4c4544-0042-4a10-8036-b4c04f4d3132"
OTHER = "4c4c4544-0042-4a10-8036-b4c04f4d3133"
TURNED = str(uuid.UUID(bytes=uuid.UUID(ONE).bytes_le))

KNOWN = st.builds(
    Learned,
    vendor=st.sampled_from([None, "Dell Inc.", "HPE"]),
    serial=st.sampled_from([None, "A1", "B2", "To be filled by O.E.M.", "0123456789"]),
    uuid=st.sampled_from([None, ONE, OTHER, TURNED, "03000200-0400-0500-0006-000700080009"]),
    sku=st.sampled_from([None, "A1", "PART-7"]),
    board_serial=st.sampled_from([None, "B2", "MB1", "MB2", "........"]),
    bmc_mac=st.sampled_from([None, "02:00:00:00:00:01", "02:00:00:00:00:02"]),
)


def machine(**told: str) -> Learned:
    return Learned(vendor=told.pop("vendor", "Supermicro"), **told)


@given(st.uuids())
def test_both_byte_orders_of_a_uuid_are_one(made: uuid.UUID) -> None:
    turned = uuid.UUID(bytes=made.bytes_le)
    assert canonical_uuid(str(made)) == canonical_uuid(str(turned).upper())


@given(KNOWN, KNOWN)
def test_whoever_is_asked_first_the_answer_is_the_same(one: Learned, two: Learned) -> None:
    assert same(one, two) == same(two, one)
    assert another(one, two) == another(two, one)
    assert not (same(one, two) and another(one, two))


@given(KNOWN)
def test_a_machine_is_itself_if_it_has_anything_of_its_own(one: Learned) -> None:
    assert same(one, one) == bool(compare(one, one))
    assert not another(one, one)


@pytest.mark.parametrize(
    ("one", "two", "wanted"),
    [
        (machine(serial="A1", uuid=ONE), machine(serial="A1", uuid=TURNED), True),
        (machine(serial="A1"), machine(serial="a1 "), True),
        (machine(serial="A1"), machine(serial="B2"), False),
        # Two makers' serials have nothing to do with each other.
        (machine(serial="A1", vendor="Dell"), machine(serial="A1", vendor="HPE"), False),
        (machine(serial="A1", vendor="Dell Inc."), machine(serial="A1", vendor="DELL"), True),
        (machine(serial="A1", vendor="HPE"), machine(serial="A1", vendor="Hewlett-Packard"), True),
        # Two nodes of one chassis.
        (machine(serial="A1", uuid=ONE), machine(serial="A1", uuid=OTHER), False),
        # A board series whose UUID nobody wrote.
        (machine(serial="A1", uuid=ONE), machine(serial="B2", uuid=ONE), False),
        # A UUID that was written anew.
        (
            machine(serial="A1", uuid=ONE, board_serial="MB1"),
            machine(serial="A1", uuid=OTHER, board_serial="MB1"),
            True,
        ),
        # Placeholders are nobody's.
        (machine(serial="To be filled by O.E.M."), machine(serial="To be filled by O.E.M."), False),
        (machine(serial="0123456789"), machine(serial="0123456789"), False),
        (
            machine(uuid="03000200-0400-0500-0006-000700080009"),
            machine(uuid="03000200-0400-0500-0006-000700080009"),
            False,
        ),
        # What is left then: the board, then the BMC.
        (machine(serial=".....", board_serial="MB1"), machine(board_serial="MB1"), True),
        (machine(board_serial="MB1"), machine(board_serial="MB2"), False),
        (machine(bmc_mac="02:00:00:00:00:01"), machine(bmc_mac="02:00:00:00:00:01"), True),
        (machine(), machine(), False),
        # A Dell: its board's serial over Redfish, its service tag over IPMI.
        (
            machine(vendor="Dell", serial="CN7016", sku="7X3K9Q2", uuid=ONE),
            machine(vendor="DELL", serial="7X3K9Q2", sku="7X3K9Q2", uuid=ONE),
            True,
        ),
        (
            machine(vendor="Dell", serial="CN7016", sku="7X3K9Q2"),
            machine(vendor="Dell", serial="7X3K9Q3", sku="7X3K9Q3", board_serial="CN7017"),
            False,
        ),
        (
            machine(vendor="Dell", serial="CN7016"),
            machine(vendor="Dell", serial="7X3K9Q2", board_serial="CN7016"),
            True,
        ),
    ],
    ids=range(19),
)
def test_one_machine_or_two(one: Learned, two: Learned, wanted: bool) -> None:
    assert same(one, two) is wanted


def test_surely_another_only_if_nothing_agrees() -> None:
    assert another(machine(serial="A1", uuid=ONE), machine(serial="B2", uuid=OTHER))
    assert not another(machine(serial="A1", uuid=ONE), machine(serial="A1", uuid=OTHER))
    assert not another(machine(serial="A1"), machine(uuid=ONE)), "nothing to compare"


def test_recognised_among_many() -> None:
    fleet = {"a": machine(serial="A1", uuid=ONE), "b": machine(serial="B2", uuid=OTHER)}
    assert recognise(machine(serial="B2", uuid=OTHER), fleet) == "b"
    assert recognise(machine(serial="C3"), fleet) is None


def test_a_serial_of_a_list_is_any_that_the_bmc_tells() -> None:
    assert is_serial("7x3k-9q2", ("CN7016", "7X3K9Q2")) is True
    assert is_serial("7X3K9Q2", ("CN7016", None)) is False
    assert is_serial("7X3K9Q2", (None, "Not Specified")) is None, "silent is not different"
