"""What is wrong with BMCs and what they can do, as lines."""

from collections import Counter
from collections.abc import Iterable

from metal.model.findings import ORDER, Finding
from metal.model.passport import BootProof, Passport, Route


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
