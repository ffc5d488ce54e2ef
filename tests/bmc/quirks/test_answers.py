"""What comes where JSON is expected, and when: late, cut, huge, elsewhere, not yet."""

from __future__ import annotations

import datetime
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.responses import Response

from metal.drivers.bmc import PATIENCE
from metal.drivers.redfish import Redfish
from metal.drivers.redfish_answer import Answer
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.redfish_faults import misshapen
from metal.lab.web import self_signed
from metal.model.errors import Failed, MetalError, Unreachable

Open = Callable[..., Redfish]
SYSTEM = "/redfish/v1/Systems/1"
SLOWEST = 30
"""Seconds that one resource was reported to take (R21)."""


def test_r19_a_page_for_people_is_named_with_its_address_and_kind(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    bmc = open_redfish()
    redfish_bmc.faults.add("html")
    with pytest.raises(
        Failed, match=r"https://127\.0\.0\.1:\d+/redfish/v1/Systems is no JSON .text/html"
    ):
        bmc.power()


@pytest.mark.parametrize(
    ("fault", "said"), [("empty", "answer is empty"), ("half-json", "no JSON")]
)
def test_r19_nothing_or_half_of_it(
    open_redfish: Open, redfish_bmc: RedfishBmc, fault: str, said: str
) -> None:
    bmc = open_redfish()
    redfish_bmc.faults.add(fault)
    with pytest.raises(Failed, match=said):
        bmc.power()


@pytest.mark.parametrize("fault", ["huge-body", "gzip-bomb"])
def test_fifty_megabytes_are_not_read(
    open_redfish: Open, redfish_bmc: RedfishBmc, fault: str
) -> None:
    bmc = open_redfish(timeout=10)
    redfish_bmc.faults.add(fault)
    if fault == "huge-body":
        tracemalloc.start()  # the bomb is packed in this process: its peak would be the double's
    try:
        with pytest.raises(Failed, match=r"larger than any resource .4 MiB"):
            bmc.power()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20


@pytest.mark.parametrize("fault", ["gzip-always", "gzip-unsaid"])
def test_r18_compressed_answers(open_redfish: Open, redfish_bmc: RedfishBmc, fault: str) -> None:
    redfish_bmc.faults.add(fault)
    assert open_redfish().facts().model == "PowerEdge R630"


def test_r20_a_resource_beside_an_error_is_used(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("error-beside")
    bmc = open_redfish()
    assert bmc.facts().serial == "8XKQ2L2"
    assert "R20" in bmc.quirks


def test_a_byte_now_and_then_holds_nobody_for_ever(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    bmc = open_redfish(timeout=0.5)
    redfish_bmc.slowness = 0.2
    redfish_bmc.faults.add("trickle")
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer within 0\.5 s"):
        bmc.power()
    assert time.monotonic() - begun < 5


def test_an_answer_that_breaks_off_is_no_answer(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    bmc = open_redfish()
    redfish_bmc.faults.add("cut")
    with pytest.raises(Unreachable, match="connection broke"):
        bmc.power()


@pytest.mark.parametrize("fault", ["redirect-loop", "redirect-away"])
def test_redirects_end_and_never_leave_the_bmc(
    open_redfish: Open, redfish_bmc: RedfishBmc, fault: str
) -> None:
    bmc = open_redfish()
    redfish_bmc.faults.add(fault)
    asked = redfish_bmc.requests
    with pytest.raises(Failed, match="redirects without end"):
        bmc.power()
    assert redfish_bmc.requests - asked < 10


def test_a_redirect_to_what_is_no_url(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    bmc = open_redfish()
    redfish_bmc._astray = lambda _request: Response(  # type: ignore[method-assign]
        status_code=308, headers={"Location": "http://["}
    )
    with pytest.raises(Failed, match="no path"):
        bmc.power()


def test_r17_a_log_in_that_is_redirected_keeps_its_method_and_body(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("redirect-sessions")
    bmc = open_redfish()
    assert "R17" in bmc.quirks and len(redfish_bmc.sessions) == 1
    assert bmc.power() == "off"


def test_r22_collections_in_pages_are_read_to_their_end(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("paged-collections")
    bmc = open_redfish()
    facts = bmc.facts()
    assert [d.slot for d in facts.dimms or ()] == [f"DIMM A{i}" for i in range(1, 5)]
    assert "R22" in bmc.quirks


def test_r24_counts_are_not_believed(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    redfish_bmc.faults.add("wrong-counts")
    facts = open_redfish().facts()
    assert (len(facts.dimms or ()), len(facts.drives or ())) == (4, 2)


def test_pages_without_end_are_given_up_and_named(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    bmc = open_redfish()
    bmc.power()
    redfish_bmc.faults.add("endless-paging")
    facts = bmc.facts()
    assert facts.serial == "8XKQ2L2"
    assert any("has no end: 50 pages" in note for note in facts.notes)


def test_r12_busy_is_asked_again_when_it_says(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    """The seconds stand in a message only, there is no Retry-After."""
    bmc = open_redfish()
    redfish_bmc.faults.add("retry-after")
    begun = time.monotonic()
    assert bmc.power() == "off"
    assert time.monotonic() - begun >= 0.9
    assert "R12" in bmc.quirks


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after": "7"}, {}, 7),
        ({}, {"Message": "data sources are unavailable. Retry in 30 seconds"}, 30),
        ({}, {"MessageId": "IDRAC.2.8.SYS518", "MessageArgs": ["30"]}, 30),
        ({"retry-after": "\u00b2"}, {}, None),
        ({}, {"MessageArgs": ["\u00b2"]}, None),
        ({"retry-after": "soon"}, {"Message": "the service is busy"}, None),
    ],
)
def test_r12_where_the_seconds_stand(
    headers: dict[str, str], message: dict[str, object], seconds: float | None
) -> None:
    body = {"error": {"@Message.ExtendedInfo": [message]}}
    assert Answer(503, body, headers).pause == seconds


def test_r13_busy_after_a_restart_is_asked_again(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("busy-after-restart")
    bmc = open_redfish()
    assert bmc.power() == "off" and "R13" in bmc.quirks


def test_r21_each_answer_may_be_slow(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    bmc = open_redfish()
    redfish_bmc.slowness = 0.1
    redfish_bmc.faults.add("slow")
    assert bmc.power() == "off" and bmc.slowest_call >= 0.1
    assert PATIENCE["redfish"] > SLOWEST


def test_r21_one_resource_that_never_comes_costs_no_other(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    """And its fact is unknown with that reason, not absent."""
    answer = redfish_bmc._answer

    def one_slow(request: object, body: object) -> object:
        path = request.url.path.rstrip("/")  # type: ignore[attr-defined]
        if path == f"{SYSTEM}/Storage":
            return misshapen("trickle", 3)
        return answer(request, body)  # type: ignore[arg-type]

    redfish_bmc._answer = one_slow  # type: ignore[method-assign,assignment]
    bmc = open_redfish(timeout=0.5)
    facts = bmc.facts()
    assert (facts.serial, len(facts.dimms or ()), facts.drives) == ("8XKQ2L2", 4, None)
    assert "/Storage: no answer within 0.5 s" in facts.unknown["drives"]
    assert "R21" in bmc.quirks


def test_r56_links_are_followed_wherever_they_lead(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("moved")
    bmc = open_redfish()
    assert bmc.facts().model == "PowerEdge R630"
    bmc.ensure_account("metal", "N3w-password-16b")
    bmc.ensure_boot_once("network")
    bmc.ensure_power("on")
    bmc.ensure_media("http://192.0.2.1/a.iso")
    assert not [a for a in redfish_bmc.asked if "/Systems/1" in a or "AccountService/" in a]


def test_a_clock_that_says_1970(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    from metal.model.facts import LogEntry

    redfish_bmc.machine.events.append(LogEntry(at="", severity="critical", text="PSU 2 lost input"))
    redfish_bmc.faults.add("clock-1970")
    [entry] = [e for e in open_redfish().log() if "PSU 2" in e.text]
    assert entry.at is None


def test_an_expired_certificate_is_accepted_when_it_is_the_pinned_one(
    open_redfish: Open, redfish_bmc: RedfishBmc, tmp_path: Path
) -> None:
    redfish_bmc.stop()
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    redfish_bmc.certificate = self_signed(tmp_path, "old", "127.0.0.1", start=long_ago, days=365)
    redfish_bmc.start()
    bmc = open_redfish(fingerprint=redfish_bmc.certificate.fingerprint)
    assert bmc.power() == "off"


def test_r55_old_tls_is_named_and_spoken_only_where_it_is_allowed(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.stop()
    redfish_bmc.faults.add("old-tls")
    redfish_bmc.start()
    with pytest.raises(Failed, match=r'only TLS 1.0 or 1.1(?s:.*)tls = "legacy"'):
        open_redfish()
    bmc = open_redfish(legacy_tls=True, fingerprint=redfish_bmc.certificate.fingerprint)
    assert (bmc.power(), bmc.tls_version) == ("off", "TLSv1")
    with pytest.raises(MetalError, match="certificate changed"):
        open_redfish(legacy_tls=True, fingerprint=":".join(["AB"] * 32))


@pytest.mark.parametrize(
    "odd",
    [
        "/redfish/v1/\x00",
        "//",
        "x",
        "/a b/é?#",
        "http://[",
        "https://x:y/z",
        "\n",
    ],
)
def test_links_that_are_no_paths_cost_nothing_else(
    open_redfish: Open, redfish_bmc: RedfishBmc, odd: str
) -> None:
    shown = redfish_bmc._resource

    def resource(path: str) -> object:
        body = shown(path)
        if path == SYSTEM and body:
            return body | {"Storage": {"@odata.id": odd}}
        return body

    redfish_bmc._resource = resource  # type: ignore[method-assign,assignment]
    facts = open_redfish().facts()
    assert (facts.serial, len(facts.dimms or ()), facts.drives) == ("8XKQ2L2", 4, None)
    assert facts.unknown["drives"]


@pytest.mark.parametrize("odd", ["/redfish/v1/\ud83d", "http://[", "https://x:y/z"])
def test_a_path_that_is_none_is_said_so(open_redfish: Open, odd: str) -> None:
    """JSON can hold what no URL can."""
    with pytest.raises(Failed, match=r"no path|cannot read"):
        open_redfish()._session.get(odd)
