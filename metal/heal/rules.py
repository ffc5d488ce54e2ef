"""The alert rules for Prometheus, at the paces and limits of one fleet's [watch]. Pure.

Every watcher and boot service tells the same of one store, so each rule takes the highest, or the
lowest, over all who tell. What `metal` mends by itself alerts only once it lasts.
"""

import json
from collections.abc import Iterator

from metal.model.base import Frozen
from metal.model.watch import WatchPolicy

BOOK = "docs/heal.md"
TOGETHER = ("blind", "site-trouble", "storm")
"""States of incidents in which nothing is done, at once or at all: a person's to decide."""


def stale_seconds(policy: WatchPolicy) -> int:
    """How old what was seen may be and still be told as what is."""
    return max(60, round(6 * policy.every))


class Rule(Frozen):
    """One alert."""

    name: str
    when: str
    """PromQL."""
    lasts: str
    """For how long: "5m"; "0s" at once."""
    severity: str
    """page: now, whoever is on call; ticket: in daylight."""
    says: str
    """A line; {{ $labels.server }} and the like are filled in by Prometheus."""
    do: str


def rules(policy: WatchPolicy) -> tuple[Rule, ...]:
    """Those that need a person now first."""
    return (*_eyes(policy), *_fleet(), *_promises(), *_hands(policy))


def rules_text(fleet: str, policy: WatchPolicy) -> str:
    """The file that Prometheus reads; `promtool check rules` takes it."""
    return "\n".join([*_HEAD.format(fleet=fleet).splitlines(), *_lines(rules(policy)), ""])


_HEAD = """\
# Alert rules for the fleet {fleet}, made by `metal alarm rules`: make them anew when [watch] of
# its inventory changes. What each alert asks of you: docs/heal.md and docs/metrics.md.
groups:
  - name: metal
    rules:"""


def _lines(found: tuple[Rule, ...]) -> Iterator[str]:
    for rule in found:
        yield f"      - alert: {rule.name}"
        yield f"        expr: {json.dumps(rule.when)}"
        yield f"        for: {rule.lasts}"
        yield f"        labels: {{severity: {rule.severity}}}"
        yield "        annotations:"
        yield f"          summary: {json.dumps(rule.says)}"
        yield f"          action: {json.dumps(rule.do)}"


def _eyes(policy: WatchPolicy) -> tuple[Rule, ...]:
    """Whether anybody looks at all: without that every other alert is silent."""
    stale = stale_seconds(policy)
    return (
        Rule(
            name="MetalNobodyTells",
            when="absent(metal_store_up)",
            lasts="2m",
            severity="page",
            says="no watcher answers Prometheus",
            do="Start `metal watch --act --metrics 9464`, or see why it cannot be reached.",
        ),
        Rule(
            name="MetalStoreAway",
            when="max(metal_store_up) == 0",
            lasts="1m",
            severity="page",
            says="no watcher reaches the state database: nothing heals",
            do="See the database that `fleet.state` names: `metal watch --who`.",
        ),
        Rule(
            name="MetalNobodyLooks",
            when=f"min(metal_verdict_age_seconds) > {stale}",
            lasts="0s",
            severity="page",
            says="nobody has judged the fleet for {{ $value | humanizeDuration }}",
            do="See who watches: `metal watch --who`; then the watcher's own log.",
        ),
        Rule(
            name="MetalNoLeader",
            when="max(metal_watch_leading) == 0",
            lasts=f"{max(60, round(3 * policy.lease_seconds))}s",
            severity="page",
            says="no watcher leads: nothing heals",
            do="Start `metal watch --act`.",
        ),
        Rule(
            name="MetalRoundsFail",
            when="sum(increase(metal_watch_round_failures_total[10m])) > 5",
            lasts="0s",
            severity="ticket",
            says="{{ $value | humanize }} rounds of watching failed within ten minutes",
            do="Read the watcher's log: the database, the disk, or the inventory.",
        ),
        Rule(
            name="MetalPlacesMissing",
            when="count(max by (place) (metal_place_age_seconds) < "
            f"{stale}) < max(metal_watch_places_expected)",
            lasts="5m",
            severity="ticket",
            says="only {{ $value }} places look: a partition may pass for a death",
            do="See `metal watch --who`, and start the watcher that is missing.",
        ),
    )


def _fleet() -> tuple[Rule, ...]:
    together = "|".join(TOGETHER)
    return (
        Rule(
            name="MetalNothingIsDone",
            when="max by (subject, state) "
            f'(metal_incident_open_seconds{{state=~"{together}"}}) >= 0',
            lasts="0s",
            severity="page",
            says="{{ $labels.subject }}: {{ $labels.state }}; metal does nothing there",
            do=f"{BOOK} says what it is and whom to call.",
        ),
        Rule(
            name="MetalServerDown",
            when='max by (server, site, state) (metal_server_state{state=~"dead|suspect|'
            'unreachable|cut-off"}) == 1',
            lasts="5m",
            severity="page",
            says="{{ $labels.server }} at {{ $labels.site }} is {{ $labels.state }} and stays so",
            do=f"`metal incident list`, then {BOOK}: what the verdicts mean.",
        ),
        Rule(
            name="MetalServerDegrading",
            when='max by (server, site) (metal_server_state{state="degrading"}) == 1',
            lasts="5m",
            severity="ticket",
            says="{{ $labels.server }} at {{ $labels.site }} announces that it will fail",
            do="Its VMs are moved off. Repair it; `metal server show` tells of what.",
        ),
        Rule(
            name="MetalServerHeld",
            when='max by (server, site) (metal_server_info{status="held"}) == 1',
            lasts="1d",
            severity="ticket",
            says="{{ $labels.server }} at {{ $labels.site }} has been set aside for a day",
            do="Repair it, then `metal release SERVER --power-on`.",
        ),
        Rule(
            name="MetalNoQuorum",
            when="max by (cluster) (metal_cluster_quorate) == 0",
            lasts="1m",
            severity="page",
            says="{{ $labels.cluster }} has no quorum: nothing restarts there",
            do="See the network between its servers, and which of them have power.",
        ),
    )


def _promises() -> tuple[Rule, ...]:
    return (
        Rule(
            name="MetalNotSurvivable",
            when="min by (cluster) (metal_cluster_survives) == 0",
            lasts="15m",
            severity="ticket",
            says="not every server of {{ $labels.cluster }} may die",
            do="`metal whatif --fail SERVER` names the VMs without a place, and what mends it.",
        ),
        Rule(
            name="MetalVmsUntold",
            when='max by (cluster) (metal_vms{state="unknown"}) > 0',
            lasts="5m",
            severity="page",
            says="nobody knows whether {{ $value }} VMs of {{ $labels.cluster }} run",
            do="`metal status --vms` names them.",
        ),
        Rule(
            name="MetalNoIpv4Left",
            when="min by (site) (metal_ipv4_free) < 0",
            lasts="1h",
            severity="ticket",
            says="{{ $labels.site }} lacks public IPv4 addresses",
            do="`metal ipv4` shows what they are spent on, and what one more would do.",
        ),
    )


def _hands(policy: WatchPolicy) -> tuple[Rule, ...]:
    """What waits for a person."""
    return (
        Rule(
            name="MetalHourIsFull",
            when="max(metal_actions_last_hour) >= max(metal_actions_hour_limit) > 0",
            lasts="0s",
            severity="page",
            says="{{ $value }} servers were acted on within an hour: no more will be",
            do=f"Find the common cause, or raise `actions_an_hour` ({policy.actions_an_hour}).",
        ),
        Rule(
            name="MetalHealingFailed",
            when="max by (kind) (metal_operations_open"
            '{kind=~"recover|drain",status=~"failed|held"}) > 0',
            lasts="1m",
            severity="page",
            says="{{ $value }} {{ $labels.kind }} operations failed and wait",
            do="`metal run list`, then `metal run show`: it says what to do.",
        ),
        Rule(
            name="MetalPersonAwaited",
            when="max(metal_requests_waiting) > 0",
            lasts="5m",
            severity="page",
            says="somebody at a rack is asked for {{ $value }} things",
            do="`metal power waiting`",
        ),
        Rule(
            name="MetalIncidentLasts",
            when="max by (subject, state) (metal_incident_open_seconds) > 6 * 3600",
            lasts="0s",
            severity="ticket",
            says="{{ $labels.subject }} has been {{ $labels.state }} for "
            "{{ $value | humanizeDuration }}",
            do="`metal incident show`",
        ),
        Rule(
            name="MetalAlarmsStay",
            when="max(metal_alarms_unsent) > 0 or max(increase(metal_alarms_lost_total[1h])) > 0",
            lasts="10m",
            severity="ticket",
            says="alarms do not get through",
            do="`metal alarm test` tries each hook.",
        ),
    )
