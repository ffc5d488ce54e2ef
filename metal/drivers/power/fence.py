"""A switched PDU (or whatever else Debian has a fence agent for).

Options go through stdin, `key=value` a line: the agents' own interface, so that no password of
ours is in an argument. (What an agent itself hands to ssh, snmpset or ipmitool is its business.)
"""

from metal.drivers.commands import Here, Result, Runner
from metal.drivers.polling import became
from metal.drivers.power import agents
from metal.inventory.mistakes import suggest
from metal.model.errors import BadInput, Failed, Refused
from metal.model.facts import Power
from metal.model.fleet import PowerAccess

RUNS = 120.0
"""Seconds an agent may take: telnet to an old PDU, and 20 s of its own waiting for the state."""
OFF_CODE = 2
"""What `status` ends with for off."""


class Fence:
    """metal.drivers.ports.PowerSwitch through one agent.

    `plug` may name several, as in "3,4": a server with two power supplies is off when all of them
    are. Each is asked alone: agents take lists too, but fence_apc_snmp then reads the first for
    each of them, and would call a server off that runs on its second.
    """

    def __init__(
        self,
        access: PowerAccess,
        password: str | None,
        *,
        runner: Runner | None = None,
        settle: float = 20.0,
    ) -> None:
        """Reaches nothing yet. BadInput when the inventory says too little, Refused when the agent
        is not installed or does not know an option. `settle`: seconds for a state to be read."""
        if access.agent is None:
            raise BadInput("no fence agent is named", mend='add agent = "fence_apc_snmp"')
        at = f" at {access.address}" if access.address else ""
        plug = f", plug {access.plug}" if access.plug else ""
        self.by = f"{access.agent}{at}{plug}"
        self._agent, self._program = access.agent, agents.program(access.agent)
        self._runner, self._settle = runner or Here(), settle
        self._password = password
        self._plugs = [plug.strip() for plug in (access.plug or "").split(",")]
        self._options = _options(access, password, agents.parameters(access.agent))

    def power(self) -> Power:
        return "on" if "on" in [self._read(plug) for plug in self._plugs] else "off"

    def ensure_power(self, wanted: Power) -> None:
        if wanted not in ("on", "off"):
            raise Refused(f"a plug cannot be switched to {wanted}", where=self.by)
        for plug in self._plugs:
            self._ensure(plug, wanted)

    def _ensure(self, plug: str, wanted: Power) -> None:
        if self._read(plug) == wanted:
            return
        result = self._run(wanted, plug)
        # What the plug reads decides, whatever the agent said (and it may say nothing at all).
        if not became(lambda: self._read(plug) == wanted, self._settle * (result.code == 0)):
            why = "" if result.code == 0 else f": {agents.complaint(result)}"
            raise Failed(
                f"plug {plug} was told to go {wanted} and does not read {wanted}{why}",
                where=self.by,
                mend="is it the right plug? Else somebody must switch it at the rack",
            )

    def _read(self, plug: str) -> Power:
        """Positive proof only: the words and the exit code must say the same.

        The code alone does not do: Python itself ends with 2 when it cannot open the agent.
        """
        result = self._run("status", plug)
        said = result.out.decode(errors="replace").upper()
        if result.code == OFF_CODE and "STATUS: OFF" in said:
            return "off"
        if result.code == 0 and "STATUS: ON" in said:
            return "on"
        raise agents.as_error(result, self.by)

    def close(self) -> None:
        """Every call of an agent logs in and out by itself."""

    def _run(self, action: str, plug: str) -> Result:
        told = {"action": action, **self._options} | ({"plug": plug} if plug else {})
        stdin = "".join(f"{key}={value}\n" for key, value in told.items())
        result = self._runner.run([self._program], stdin=stdin.encode(), timeout=RUNS)
        return Result(result.code, result.out, self._without_secret(result.err))

    def _without_secret(self, text: str) -> str:
        """An agent repeats a line that it does not understand, whole."""
        return text.replace(self._password, "…") if self._password else text


def _options(access: PowerAccess, password: str | None, known: frozenset[str]) -> dict[str, str]:
    """What the agent is told besides the action. Refused where it would ignore any of it."""
    for name in access.options:
        if name.replace("-", "_") not in known:
            raise Refused(
                f"{access.agent} knows no option {name}",
                where="inventory.toml",
                mend=suggest(name, known, "option"),
            )
    told = {"ip": access.address, "username": access.user}
    options = {k: v for k, v in told.items() if v is not None and k in known} | access.options
    if access.plug and "plug" not in known:
        raise Refused(f"{access.agent} knows no plugs", mend="leave `plug` out")
    if password is not None:
        options[_secret_option(access, known)] = password
    for name, value in options.items():
        if "\n" in value or value != value.strip():
            raise Refused(f"the agent cannot be told such a value of {name}: it has a line's end "
                          "or a blank at its edge")  # fmt: skip
    return options


def _secret_option(access: PowerAccess, known: frozenset[str]) -> str:
    """SNMP 1 and 2c know no password: the community is what is secret."""
    by_community = access.user is None and access.options.get("snmp_version") != "3"
    return "community" if "community" in known and by_community else "password"
