"""Each mistake alone: found once, at its place, in words that mend it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metal.inventory import InventoryErrors, Mistake, load

Find = Callable[[str], tuple[Mistake, ...]]

TOP = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"

# (what is replaced in base.toml, by what; « marks where the mistake is reported; its words)
ONE_MISTAKE = [
    # TOML itself
    ('name = "base"', "name = «base", "is not TOML"),
    ("[servers.zee1]", "«[servers.rio1]", "`servers.rio1` is written twice; the first is in line"),
    ('rack = "Z"', 'rack = "Z"\n«rack = "Y"', "`servers.zee1.rack` is written twice"),
    # Shape
    ("domain =", "«domian =", "unknown key `domian`\n  → did you mean `domain`?"),
    ("[vms.irc]", "[«vm.irc]", "unknown section `vm`\n  → did you mean `vms`?"),
    ("protocol =", "«protocl =", "unknown key `protocl`\n  → did you mean `protocol`?"),
    ("place = \"Delft, attic\"", "place = «5", "`place` must be text, not 5"),
    ('unit = 2', 'unit = «"two"', "`unit` must be a whole number, not 'two'"),
    ("unit = 2", "unit = «99", "`unit` is 99\n  → it must be at most 60"),
    ("port = 25 ", "port = «70000 ", "`port` is 70000\n  → it must be at most 65535"),
    ("ceph = false", 'ceph = «"perhaps"', "`ceph` must be true or false"),
    (
        "[sites.delft.subnets]",
        '[sites.delft.boot]\ndhcp = «"our"\n[sites.delft.subnets]',
        "`dhcp` cannot be 'our'\n  → did you mean `ours`?",
    ),
    ('ipv4 = "nat"', 'ipv4 = «"NAT"', "`ipv4` cannot be 'NAT'\n  → did you mean `nat`?"),
    ('"02:00:5e:00:00:04"', '«"02-00-5E-00-00-04"', "is no MAC address"),
    ('gateway = "10.2.1.1"', 'gateway = «"10.2.1"', "`gateway` must be an IP address"),
    ('bmc = "10.2.0.0/24"', 'bmc = «"10.2.0.1/24"', "`bmc` must be an IP network"),
    ('"192.0.2.6"', '«"192.0.2.6-5"', "is no IPv4 address or range"),
    ('servers = ["zee1"]', "servers = «[]", "`servers` has too few entries"),
    ('name = "base"', 'name = «"Base"', "`name`: 'Base' is no name"),
    ("[vms.irc]", "[vms.«IRC]", "'IRC' is no name"),
    ('why = "one port"', "", "`why` is missing\n  → add `why = …`: Why it needs"),
    # Fleet
    ('"0.0.0.0:8080"', '«"8080"', "`boot_listen` is '8080', not host:port"),
    ('"0.0.0.0:8080"', '«"[::]:80800"', "not host:port"),
    ('"0.0.0.0:8080"', '"0.0.0.0:8080"\nstate = «"mysql://u:p@h/d"', "`state` is neither sqlite"),
    ('"0.0.0.0:8080"', '"0.0.0.0:8080"\nmirror = «"ftp://m.example.org"', "not an http:// or"),
    # Administrators
    ('["age1yku', '[«"age1zku', "this age recipient is damaged"),
    ('"ssh-ed25519 AAAA', '«"ecdsa-sha2-nistp256 AAAA', "ECDSA keys can only sign"),
    ('"ssh-ed25519 AAAA', '«"sk-ssh-ed25519@openssh.com AAAA', "in a security token"),
    ('"ssh-ed25519 AAAAC3', '«"ssh-ed25519 AAAAC4', "this ssh-ed25519 key is damaged"),
    # Links
    (
        "[servers.zee1]\n",
        '[servers.zee1]\nlinks.management = «{ cards = ["eno1", "eno2"] }\n',
        "management has 2 cards and no `bond`",
    ),
    (
        "[servers.zee1]\n",
        '[servers.zee1]\nlinks.management = «{ cards = ["eno1"], bond = "802.3ad" }\n',
        "management is a bond of one card",
    ),
    (
        "[servers.zee1]\n",
        '[servers.zee1]\nlinks.management = { cards = ["eno1"], vlan = «0 }\n',
        "it must be at least 1",
    ),
    (
        "[servers.zee1]\n",
        '[servers.zee1]\nlinks.management = { cards = ["eno1"], vlan = «4095 }\n',
        "it must be at most 4094",
    ),
    (
        "[servers.zee1]\n",
        '[servers.zee1]\nlinks = «{ corosync = { cards = ["eno1"] } }\n',
        "has `links` but none for management",
    ),
    (
        "[servers.zee1]\n",
        '[servers.zee1]\nlinks.management = { cards = ["eno1"] }\n'
        'links.ceph = «{ cards = ["eno2"] }\n',
        "`zee1` has cards for ceph, and delft has no such network\n  → add ceph =",
    ),
    (
        "[servers.zee1]\n",
        '[servers.zee1]\nlinks.«managment = { cards = ["eno1"] }\n',
        "`links` cannot be 'managment'\n  → did you mean `management`?",
    ),
    (
        "[servers.zee1]\n",
        '[servers.zee1]\nlinks.management = { «card = ["eno1"] }\n',
        "unknown key `card`\n  → did you mean `cards`?",
    ),
    ('bmc = "10.2.0.0/24"', 'bmc = "10.2.0.0/24"\nceph = «"10.2.1.0/25"', "overlaps"),
    # References
    ('site = "delft"', 'site = «"delf"', "there is no site `delf`\n  → did you mean `delft`?"),
    ('profile = "solo"', 'profile = «"sole"', "there is no profile `sole`"),
    ('size = "tiny"', 'size = «"tinny"', "there is no size `tinny`\n  → did you mean `tiny`?"),
    ('cluster = "rio"', 'cluster = «"roi"', "there is no cluster `roi`"),
    ('"rio2", "rio3"]', '"rio2", «"rio4", "rio3"]', "there is no server `rio4`"),
    ('servers = ["zee1"]', 'servers = ["zee1", «"rio1"]', "server `rio1` is at porto"),
    ('servers = ["zee1"]', 'servers = ["zee1", «"zee1"]', "server `zee1` is already twice here"),
    ('"rio2", "rio3"]', '"rio2"]', "server `rio3` is in no cluster"),
    ("[clusters.zee]", '[clusters.«zeeenzeeenzeeeen]', "cluster name"),
    ("[vms.irc]", "[vms.«outside]", "no server or VM can be called `outside`"),
    ("[vms.irc]", "[vms.«zee1]", "VM `zee1` has the name of a server"),
    # Gateways, needs, ranges
    (
        '"192.0.2.2-192.0.2.4", "192.0.2.6"]',
        '"192.0.2.2-192.0.2.3"]\ngateways = «{ base = "public" }',
        "the pool has 2 addresses, but its gateways take 3",
    ),
    (
        'contact = "noc@zolder.example.org" }',
        'contact = "noc@zolder.example.org" }\ngateways = «{ base = "public" }',
        "the site has no `ipv4_pool`",
    ),
    (
        'contact = "noc@zolder.example.org" }',
        'contact = "noc@zolder.example.org" }\ngateways = «{ uplink = "vms" }',
        "both interfaces are called `vms`",
    ),
    (
        'contact = "noc@zolder.example.org" }',
        'contact = "noc@zolder.example.org" }\n'
        'gateways = { addresses = «["10.2.1.5"] }',
        "2 gateways, and 1 `addresses`",
    ),
    (
        'contact = "noc@zolder.example.org" }',
        'contact = "noc@zolder.example.org" }\n'
        'gateways = { addresses = ["10.2.1.5", «"10.2.1.5"] }',
        "10.2.1.5 is the address of gateway1 of delft already",
    ),
    (
        'contact = "noc@zolder.example.org" }',
        'contact = "noc@zolder.example.org" }\n'
        'gateways = «{ uplink_ipv6 = "2001:db8::2/64" }',
        "`uplink_ipv6` and `uplink_gateway6` go together",
    ),
    (
        '"10.2.128.0/20"',
        '"10.2.128.0/20"\nmetallb = [«"10.2.128.1-10.2.128.20"]',
        "is outside what VMs may have",
    ),
    (
        "serves = [{ port = 6697 }]",
        'serves = [{ port = 6697, to = «"10.1.128.200" }]\ncluster = "rio"',
        "10.1.128.200 is in no `metallb` range of porto",
    ),
    (
        "serves = [{ port = 25 }]",
        'serves = [{ port = 25, to = «"10.1.128.200" }]',
        "only ports that are forwarded lead to 10.1.128.200",
    ),
    ('apart = "db"\nwhy = "replica"', 'why = "replica"', "without a replica elsewhere"),
    ('"2001:db8:1::/48"', '"2001:db8:1::/48"\nipv6_next = «"10.9.0.0/16"', "is not IPv6"),
    ('"10.2.128.0/20"', '"10.2.128.0/20"\nipv6_next = «"2001:db8:9::/48"', "nothing is replaced"),
    ('"10.2.128.0/20"', '"10.2.128.0/20"\nipv6_old = «"2001:db8:9::/48"', "nothing is replaced"),
    (
        'ipv6 = "2001:db8:1::/48"',
        'ipv6 = "2001:db8:1::/48"\nipv6_old = "2001:db8:8::/48"\nipv6_next = «"2001:db8:9::/48"',
        "changes its prefix once at a time",
    ),
    (
        'ipv6 = "2001:db8:1::/48"',
        'ipv6 = "2001:db8:1::/48"\nipv6_next = «"2001:db8:1:8::/64"',
        "overlaps `ipv6` 2001:db8:1::/48",
    ),
    ('"10.2.128.0/20"', '«"10.2.128.0/29"', "has no address left for a VM"),
    ('"10.2.128.0/20"', '«"198.18.0.0/20"', "which gateways translate IPv6 to"),
    ('"10.2.128.0/20"', '«"100.64.0.0/20"', "which the members of the mesh"),
    (
        'contact = "noc@zolder.example.org" }',
        'contact = "noc@zolder.example.org" }\n[sites.delft.gateways]\n'
        'uplink_ipv6 = "2001:db8:f::2/64"\nuplink_gateway6 = «"2001:db8:f::2"',
        "is the address of both, ours and the donor's router's",
    ),
    (
        'contact = "noc@zolder.example.org" }',
        'contact = "noc@zolder.example.org" }\n[sites.delft.gateways]\n'
        'uplink_ipv6 = «"2001:db8:1::2/64"\nuplink_gateway6 = "2001:db8:1::1"',
        "the network of the VMs of porto",
    ),
    (
        'contact = "noc@zolder.example.org" }',
        'contact = "noc@zolder.example.org" }\n[sites.delft.gateways]\n'
        'uplink_ipv6 = «"2001:db8:f::2/64"\nuplink_gateway6 = "2001:db8:f::1"\n'
        '[sites.porto.gateways]\n'
        'uplink_ipv6 = "2001:db8:f::2/64"\nuplink_gateway6 = "2001:db8:f::1"',
        "is the uplink's address of porto already",
    ),
    (
        'contact = "noc@zolder.example.org" }',
        'contact = "noc@zolder.example.org" }\n[sites.delft.gateways]\n'
        'wireguard = «"TlxdpLNOUXIdT8be2HfTasEuljU8cuJoeQfqITTebSw="\n'
        '[sites.porto.gateways]\n'
        'wireguard = "TlxdpLNOUXIdT8be2HfTasEuljU8cuJoeQfqITTebSw="',
        "is the key of site `porto` already",
    ),
    ("{ port = 6697 }", "«{ port = 6697, last = 6000 }", "ends at 6000, before it begins"),
    ("{ port = 6697 }", "{ port = 6697, last = 6700 }, «{ port = 6699 }", "is served twice"),
    ('why = "told', 'needs = [«"rdns"]\nwhy = "told', "which `proxy` cannot give"),
    ('why = "one port"', 'needs = [«"ipsec"]\nwhy = "one port"\n', "does not serve udp port 500"),
    # Networks
    ('address = "10.1.1.12"', 'address = «"10.1.2.12"', "outside `porto.management` 10.1.1.0/24"),
    ('address = "10.1.1.12"', 'address = «"10.1.1.11"', "is the address of server `rio1`"),
    ('address = "10.1.1.12"', 'address = «"10.1.1.1"', "is the address of a gateway of porto"),
    ('address = "10.1.1.12"', 'address = «"10.1.1.255"', "stands for the whole of 10.1.1.0/24"),
    ('address = "10.1.0.12"', 'address = «"10.2.0.12"', "outside `porto.bmc` 10.1.0.0/24"),
    ('address = "10.1.0.12"', 'address = «"10.1.0.1222"', "neither an IP address nor a host name"),
    ('"10.1.0.12"\nport = 6623', '«"10.1.0.11"', "is the address of the BMC of `rio1` already"),
    ('gateway = "10.2.1.1"', 'gateway = «"10.3.1.1"', "10.3.1.1 is outside `management`"),
    ('"192.0.2.1"\nipv6', '«"192.0.3.1"\nipv6', "192.0.3.1 is outside `public_ipv4`"),
    ('public_gateway = "192.0.2.1"', "", "`public_ipv4` without `public_gateway`"),
    ('bmc = "10.2.0.0/24"', 'bmc = "10.2.0.0/24"\nipv6 = «"2001:db8:1:2::/64"', "of porto"),
    ('"10.2.128.0/20"', '«"10.2.0.0/16"', "overlaps"),
    ('ipv6 = "2001:db8:1::/48"', 'ipv6 = «"2001:db8:1::/96"', "longer than a /64"),
    ('ipv6 = "2001:db8:1::/48"', 'ipv6 = «"10.9.0.0/16"', "which is not IPv6"),
    ('"192.0.2.6"]', '«"192.0.2.20"]', "192.0.2.20 is outside `public_ipv4` 192.0.2.0/28"),
    ('"192.0.2.6"]', '«"192.0.2.4"]', "holds an address that the pool has already"),
    ('"192.0.2.6"]', '«"192.0.2.1"]', "holds the gateway 192.0.2.1"),
    ('"192.0.2.6"]', '«"192.0.2.15"]', "which stands for the whole of 192.0.2.0/28"),
    ('"10.2.1.11"', '"10.2.1.11"\nboot_mac = «"02:00:5e:00:00:04"', "of server `rio3` already"),
    # VMs
    (', name = "www.base.example.org" }', " }", "`proxy` without a named service"),
    ("serves = [{ port = 6697 }]", "", "`nat` without a port to forward"),
    ("{ port = 25 }", "{ port = 25 }, «{ port = 25 }", "tcp port 25 is served twice"),
    ('size = "tiny"', 'cluster = "zee"\napart = "db"\nsize = "tiny"', "no public IPv4 at delft"),
    ('why = "inside only"', 'why = «" "', "`why` is empty"),
    ('apart = "db"\nwhy = "replica"', 'why = "replica"', "a single server, without a replica"),
    # Together and apart
    ('why = "one port"', 'why = "one port"\ntogether = [«"ww"]', "there is no VM `ww`"),
    ('why = "one port"', 'why = "one port"\ntogether = [«"irc"]', "together with itself"),
    ('why = "one port"', 'why = "one port"\nprefers = [«"roi"]', "there is no cluster `roi`"),
    ('why = "one port"', 'why = "one port"\napart_by = «"site"', "without a group"),
    ('why = "replica"', 'why = "replica"\napart_by = «"site"', "but by server for `db1`"),
    ('why = "one port"', 'why = "one port"\ncpu = «"x86-64-v9"', "'x86-64-v9' is none of kvm64,"),
    # Power
    ('[vms.', '[watch]\nevery = «0\n[vms.', "`every` is 0"),
    ('[vms.', '[watch]\n«evry = 5\n[vms.', "unknown key `evry`"),
    ('[vms.', '[alarms.ops]\nkind = "mail"\nto = «"ops"\n[vms.', "no mail address"),
    ('[vms.', '[alarms.chat]\nkind = "webhook"\nto = «"https://e.org/t0ken"\n[vms.', "a secret"),
    ('[vms.', '[alarms.room]\nkind = "matrix"\nto = «"ops"\nserver = "https://e.org"\n[vms.',
     "no id of a room"),
    ('[vms.', '[alarms.«room]\nkind = "matrix"\nto = "!r:e.org"\n[vms.', "needs `server`"),
    ('[vms.', '[alarms.page]\nkind = "script"\nto = "page.sh"\nsender = «"a@b"\n[vms.',
     "of no use to a script"),
    ('unit = 2', 'unit = 2\npower = { driver = «"fenc" }', "`driver` cannot be 'fenc'"),
    ('unit = 2', 'unit = 2\n«power = { driver = "fence", address = "h" }', "no agent is named"),
    ('unit = 2', 'unit = 2\n«power = { driver = "fence", agent = "fence_apc_snmp" }', "no address"),
    ('unit = 2', 'unit = 2\npower = { driver = "fence", agent = "fence_apc_snmp", plug = "3",'
     ' outlets = [{ address = "h1" }, «{ plug = "3" }] }', "no address"),
    ('unit = 2', 'unit = 2\npower = { driver = "fence", agent = "fence_apc_snmp", address = "h",'
     ' outlets = [{ plug = "3" }, «{ plug = "3" }] }', "plug 3 is named twice"),
    ('unit = 2', 'unit = 2\npower = { driver = "fence", agent = "fence_apc_snmp", address = "h",'
     ' outlets = [{ plug = "3", options = { «community = "s" } }] }', "is a secret"),
    ('unit = 2', 'unit = 2\npower = { driver = "manual", outlets = «[{ plug = "3" }] }', "no use"),
    ('unit = 2', 'unit = 2\npower = { driver = "fence", address = "h", agent = «"fence_apc_snpm" }',
     "there is no fence agent `fence_apc_snpm`\n  → did you mean `fence_apc_snmp`?"),
    ('unit = 2', 'unit = 2\npower = { driver = "manual", plug = «"3" }', "no use to driver manual"),
    ('unit = 2', 'unit = 2\npower = { driver = "fence", address = "h", agent = "fence_apc_snmp",'
     ' options = { «community = "x" } }', "`community` is a secret"),
]  # fmt: skip


def test_the_base_is_sound(mistakes: Find, base: str) -> None:
    assert mistakes(base) == ()


def test_a_plug_of_two_servers(mistakes: Find, base: str) -> None:
    """Whoever cuts one of them would cut the other, too."""
    power = 'power = { driver = "fence", agent = "fence_apc_snmp", address = "h", plug = "3" }'
    one = base.replace("unit = 2", f"unit = 2\n{power}")
    assert mistakes(one) == ()
    both = one.replace('boot_mac = "02', power.replace('"3"', '"2, 3"') + '\nboot_mac = "02')
    assert ["plug 3 of h is server `rio2`'s" in str(m) for m in mistakes(both)] == [True]


@pytest.mark.parametrize(
    ("address", "plug"),
    [("PDU.example.org.", "3"), ("pdu.example.org", "03"), ("fd00:0::9", "3"), ("FD00::9", "003")],
)
def test_a_plug_of_two_servers_in_two_spellings(
    mistakes: Find, base: str, address: str, plug: str
) -> None:
    driver = 'driver = "fence", agent = "fence_apc_snmp"'
    first = "fd00::9" if ":" in address else "pdu.example.org"
    one = f'unit = 2\npower = {{ {driver}, address = "{first}", plug = "3" }}'
    two = f'power = {{ {driver}, address = "{address}", plug = "{plug}" }}\nboot_mac = "02'
    both = base.replace("unit = 2", one).replace('boot_mac = "02', two)
    assert [f"plug {plug} of {address} is server `rio2`'s" in str(m) for m in mistakes(both)] == [
        True
    ]


@pytest.mark.parametrize(("old", "new", "words"), ONE_MISTAKE)
def test_one_mistake(mistakes: Find, base: str, old: str, new: str, words: str) -> None:
    assert old in base
    marked = base.replace(old, new, 1)
    found = mistakes(marked.replace("«", ""))
    shown = "\n".join(map(str, found))
    here = [m for m in found if words in str(m)]
    assert here, shown
    if "«" in marked:
        before = marked[: marked.index("«")].split("\n")
        assert (here[0].line, here[0].column) == (len(before), len(before[-1]) + 1), shown
    assert all(m.mend for m in found), shown
    assert len(found) <= 2, shown  # a second only where one thing truly is wrong twice


def test_what_is_no_mistake(mistakes: Find, base: str) -> None:
    one_net = base.replace('management = "10.2.1.0/24"', 'management = "10.2.0.0/24"')
    one_net = one_net.replace('gateway = "10.2.1.1"', 'gateway = "10.2.0.1"')
    one_net = one_net.replace('address = "10.2.1.11"', 'address = "10.2.0.12"')
    assert mistakes(one_net) == (), "a small rack has one network for BMCs and hosts"
    forwarded = base.replace('address = "10.1.0.12"', 'address = "10.1.0.11"')
    assert mistakes(forwarded) == (), "BMCs behind forwarded ports of one address"
    names = '{ port = 443, name = "a.example.org" }, { port = 443, name = "b.example.org" }'
    two_names = base.replace('{ port = 443, name = "www.base.example.org" }', names)
    assert mistakes(two_names) == (), "a proxy tells two names of one VM apart"


def test_an_apart_group_needs_servers(mistakes: Find, base: str) -> None:
    vm = '\n[vms.{}]\nsize = "tiny"\napart = "db"\nwhy = "one more"\n'
    in_all = base + "".join(vm.format(f"more{i}") for i in range(3))
    (mistake,) = mistakes(in_all)
    assert "group `db` has 5 VMs, but there are 4 servers in all" in mistake.what
    pinned = base.replace("[vms.db1]\n", '[vms.db1]\ncluster = "zee"\n')
    assert any("1 servers in cluster `zee`" in m.what for m in mistakes(pinned))


APART = 'apart = "db"'


def test_a_contradiction_names_the_circle_and_its_lines(mistakes: Find, base: str) -> None:
    text = base.replace("[vms.db1]\n", '[vms.db1]\ntogether = ["irc"]\n')
    text = text.replace("[vms.db2]\n", '[vms.db2]\ntogether = ["www"]\n').replace(
        "[vms.irc]\n", '[vms.irc]\ntogether = ["www"]\n'
    )
    (mistake,) = mistakes(text)
    lines = text.split("\n")

    def at(line: str, last: bool = False) -> str:
        found = [n for n, one in enumerate(lines, 1) if one == line]
        return f"{mistake.file}:{found[-1 if last else 0]}"

    irc = at('together = ["irc"]')
    first, last = at('together = ["www"]'), at('together = ["www"]', last=True)
    assert mistake.what == (
        f"`db1` is together with `irc` ({irc}), `irc` is together with `www` ({first}), `www` is "
        f"together with `db2` ({last}), but both are of the group `db`, which is apart "
        f"({at(APART)} and {at(APART, last=True)})"
    )
    pinned = base.replace("[vms.mail]\n", '[vms.mail]\ntogether = ["db2"]\n')
    assert any("`mail` is pinned to rio, `db2` to zee" in m.what for m in mistakes(pinned))


def test_apart_by_more_needs_more_of_it(mistakes: Find, base: str) -> None:
    text = base.replace('apart = "db"\n', 'apart = "db"\napart_by = "site"\n')
    assert mistakes(text) == ()
    third = '\n[vms.db3]\nsize = "tiny"\napart = "db"\napart_by = "site"\nwhy = "one more"\n'
    (mistake,) = mistakes(text + third)
    assert "3 VMs apart by site, but there are 2" in mistake.what
    beside = text.replace("[vms.db1]\n", '[vms.db1]\ncluster = "zee"\n')
    assert any("is apart by site from `db1`" in m.what for m in mistakes(beside))


def test_somebody_must_hold_the_keys(mistakes: Find, base: str) -> None:
    start, end = base.index("[administrators.ana]"), base.index("[sites.porto]")
    (mistake,) = mistakes(base[:start] + base[end:])
    assert "there is no administrator" in mistake.what


def test_profiles_are_read_too_and_own_ones_win(workspace: Path) -> None:
    own = workspace / "profiles" / "servers"
    own.mkdir(parents=True)
    (own / "solo.toml").write_text('description = "mine"\n\nreserved_memory_gb = 2\n')
    (workspace / "profiles" / "vms.toml").write_text("[tiny]\nvcpus = 0\n")
    with pytest.raises(InventoryErrors) as caught:
        load(workspace)
    text = str(caught.value).replace(f"{workspace}/", "")
    assert "profiles/servers/solo.toml:3:1: unknown key `reserved_memory_gb`" in text
    assert "→ did you mean `reserved_memory_gib`?" in text
    assert "profiles/vms.toml:2:9: `vcpus` is 0" in text
    assert "there is no size `medium`" in text
    (own / "solo.toml").write_text('description = "mine"\nreserved_memory_gib = 2\n')
    (workspace / "profiles" / "vms.toml").unlink()
    assert load(workspace).profiles["solo"].reserved_memory_gib == 2
    assert load(workspace).profiles["ceph-node"].reserved_memory_gib == 16


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(InventoryErrors, match="no such file") as caught:
        load(tmp_path)
    assert caught.value.exit_code == 2
    (tmp_path / "inventory.toml").write_bytes(b'[fleet]\nname = "\xff"\n')
    with pytest.raises(InventoryErrors, match=r"inventory.toml:2:9: is not UTF-8"):
        load(tmp_path)


def test_all_at_once_as_a_person_sees_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One file with everything wrong; METAL_GOLDEN=1 writes the golden file anew."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inventory.toml").write_text((GOLDEN / "broken.toml").read_text())
    with pytest.raises(InventoryErrors) as caught:
        load(tmp_path)
    golden = GOLDEN / "broken.txt"
    if os.environ.get("METAL_GOLDEN"):
        golden.write_text(f"{caught.value}\n")
    assert f"{caught.value}\n" == golden.read_text()


def test_no_secret_is_repeated(mistakes: Find, base: str) -> None:
    secret = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ"
    state = 'boot_listen = "0.0.0.0:8080"\nstate = "postgres://metal:hunter22@db/metal"'
    text = base.replace('boot_listen = "0.0.0.0:8080"', state)
    text = text.replace('["age1', f'["{secret}", "age1')
    shown = "\n".join(map(str, mistakes(text)))
    assert "private key" in shown and "`state`" in shown
    assert "hunter22" not in shown and "QQQQ" not in shown


def test_the_repositorys_own_inventory_is_sound() -> None:
    inventory = load(TOP)
    assert len(inventory.servers) == 10 and len(inventory.vms) == 43


def test_loading_pulls_in_nothing_heavy() -> None:
    code = (
        "import sys, pathlib, metal.inventory as i; i.load(pathlib.Path('.'));"
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=True
    )
    heavy = {"tomlkit", "pyrage", "sqlalchemy", "textual", "pyghmi", "proxmoxer", "starlette"}
    assert not heavy & set(done.stdout.split())


LINKS = 'links.management = { cards = ["eno1"] }\nlinks.ceph = { cards = ["eno2"] }\n'


def with_ceph(base: str, network: str, servers: tuple[str, ...]) -> str:
    text = base.replace('bmc = "10.1.0.0/24"', f'bmc = "10.1.0.0/24"\nceph = "{network}"')
    for name in servers:
        text = text.replace(f"[servers.{name}]\n", f"[servers.{name}]\n{LINKS}")
    return text


def test_ceph_of_its_own_is_for_all_of_a_cluster(mistakes: Find, base: str) -> None:
    everyone = ("rio1", "rio2", "rio3")
    assert mistakes(with_ceph(base, "10.1.9.0/24", everyone)) == ()
    (odd,) = mistakes(with_ceph(base, "10.1.9.0/24", everyone[:2]))
    assert "`rio1` has cards for ceph and `rio3` has none" in str(odd)
    small = mistakes(with_ceph(base, "10.1.9.0/29", everyone))
    assert len(small) == 3
    assert "has no room for number 11 (`rio1`)" in str(small[0])
    twice = with_ceph(base, "10.1.9.0/24", everyone).replace('"eno2"', '"eno1"', 1)
    (odd,) = mistakes(twice)
    assert "the card eno1 of `rio1` is for management already" in str(odd)
