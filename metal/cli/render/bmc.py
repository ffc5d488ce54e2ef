"""What is wrong with BMCs and what they can do, as lines."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from metal.cli.render.hang import gathered, hanging
from metal.model.findings import ORDER, Finding
from metal.model.passport import BootProof, Passport, Route
from metal.tui.grid import safe

if TYPE_CHECKING:
    from metal.controller.auditing import Audited, Proven
    from metal.controller.bmcs import Told


def finding_texts(findings: Iterable[Finding]) -> list[str]:
    """What, and below it what to do."""
    return [f"{f.severity}: {f.what}\n→ {f.remedy}" for f in findings]


def unexamined_texts(unexamined: dict[str, str]) -> list[str]:
    """What nobody could look at, by reason."""
    reasons: dict[str, list[str]] = {}
    for id, why in unexamined.items():
        reasons.setdefault(why, []).append(id)
    return [f"not known: {', '.join(ids)} ({why})" for why, ids in reasons.items()]


def less_of(findings: Iterable[Finding]) -> str:
    """ "2 low, 1 info"."""
    counts = Counter(f.severity for f in findings)
    return ", ".join(f"{counts[severity]} {severity}" for severity in ORDER if counts[severity])


def passport_texts(proven: Passport) -> list[str]:
    return [
        f"proven at {proven.proven_at}; speaks {_protocols(proven)}",
        *_pace(proven),
        *(f"boot from {_boot(proof)}" for proof in proven.boots),
        *_console(proven),
        *proven.notes,
    ]


def _protocols(proven: Passport) -> str:
    versions = {"redfish": proven.redfish_version, "ipmi": proven.ipmi_version}
    said = " and ".join(f"{p} {versions[p] or ''}".strip() for p in proven.protocols)
    tls = proven.tls_version or (proven.tls if proven.tls == "legacy" else None)
    more = [f"cipher suite {proven.cipher_suite}"] if proven.cipher_suite is not None else []
    return ", ".join([said, *([str(tls)] if tls else []), *more])


def _pace(proven: Passport) -> list[str]:
    took = proven.seconds_a_call
    because = f", as a call took {took:g} s" if took is not None else ""
    return [f"asked every {proven.poll_seconds:g} s at most{because}"]


def _boot(proof: BootProof) -> str:
    mode = f" ({proof.mode})" if proof.mode else ""
    return f"{proof.device}{mode}: {'works' if proof.works else f'no: {proof.why}'}"


def _console(proven: Passport) -> list[str]:
    if proven.console is None:
        return []
    return ["serial console over IPMI" if proven.console == "ipmi-sol" else "no serial console"]


def route_texts(way: Route | None) -> list[str]:
    """The way that is taken, then why not the others."""
    if way is None:
        return []
    return [f"{way.method}: {way.why}", *(f"not {m}: {why}" for m, why in way.rejected.items())]


# ── metal bmc audit ──────────────────────────────────────────────────────────────────────────


def audit_lines(audited: "list[Audited]", width: int) -> list[str]:
    """The worst finding first, each once with all it is found at; then how many of each."""
    worst = sorted(
        ((f, one.server) for one in audited for f in one.findings),
        key=lambda found: ORDER.index(found[0].severity),
    )
    said = [(server, _with_evidence(finding)) for finding, server in worst]
    said += [(one.server, text) for one in audited for text in _beside_findings(one)]
    lines = gathered(said, width)
    found = [f for one in audited for f in one.findings]
    asked = sum(one.error is None for one in audited)
    counts = less_of(found) or (
        "nothing that was looked at is wrong" if asked else "so nothing is known"
    )
    return [*lines, "", f"{asked} of {len(audited)} BMCs told: {counts}."]


def _beside_findings(one: "Audited") -> list[str]:
    if one.error is not None:
        return ["not audited: " + one.error.splitlines()[0]]
    return unexamined_texts(one.unexamined) or ([] if one.findings else ["nothing"])


def _with_evidence(found: Finding) -> str:
    return f"{found.severity}: {found.what} [{found.id}: {found.evidence}]\n→ {found.remedy}"


# ── metal bmc prove, rotate ──────────────────────────────────────────────────────────────────


def proven_lines(proven: "list[Proven]", width: int) -> list[str]:
    """Server by server: what its BMC can do, and the way to an installer."""
    lines: list[str] = []
    for one in proven:
        said = ["not proven: " + one.error.splitlines()[0]] if one.error is not None else []
        said += passport_texts(one.passport) if one.passport else []
        said += route_texts(one.route)[:1]
        lead = f"{safe(one.server)}: "
        lines += [line for text in said for line in hanging(lead, text, width, under=2)]
    return lines


def rotated_lines(rotated: "list[Told]", width: int) -> list[str]:
    """Only what went wrong is worth a line of its own."""
    bad = [one for one in rotated if one.error is not None]
    lines = [
        line
        for one in bad
        for line in hanging(f"{safe(one.server)}: ", (one.error or "").splitlines()[0], width)
    ]
    return [*lines, f"{len(rotated) - len(bad)} of {len(rotated)} have a new BMC password."]
