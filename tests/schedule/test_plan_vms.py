"""Complete actions for VMs, and that an applied plan leaves nothing to do."""

from collections.abc import Callable

from metal.cluster.plan import plan_clusters
from metal.model.facts import Health
from metal.model.fleet import Inventory
from metal.model.laws import judge
from metal.model.life import Life
from metal.model.plan import Action, DescribeVm, PlaceVm, Plan, StartVm, fingerprint
from metal.model.world import SeenServer, SeenVm, World
from metal.network.sites import pool as pool_addresses
from metal.schedule.after import carried_out
from metal.schedule.plan import plan_vms

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]
Applied = Callable[..., World]


def breaches(fleet: Inventory, world: World, *actions: Action) -> list[str]:
    plan = Plan(fingerprint=fingerprint(fleet, world), actions=actions)
    return [f"{b.law}: {b.subject}: {b.what}" for b in judge(plan, fleet, world)]


def test_the_charity_is_planned_whole_and_lawfully(
    charity: Inventory, formed: Formed, applied: Applied
) -> None:
    world = formed(charity)
    actions, warnings = plan_vms(charity, world, frozenset(charity.clusters), {})
    assert warnings == ()
    assert len(actions) == 43
    assert breaches(charity, world, *actions) == []
    assert plan_vms(charity, applied(world, actions), frozenset(charity.clusters), {}) == ((), ())


def test_a_fleet_that_is_still_to_be_formed_is_planned_too(charity: Inventory) -> None:
    installed = SeenServer(life=Life.INSTALLED, power="on", health="ok")
    world = World(servers=dict.fromkeys(charity.servers, installed))
    forms = plan_clusters(charity, world)
    needs = {form.cluster: form.id for form in forms}
    actions, warnings = plan_vms(charity, world, frozenset(needs), needs)
    assert warnings == ()
    assert len(actions) == 43
    assert all(a.needs == (f"form:{a.cluster}",) for a in actions)
    assert breaches(charity, world, *forms, *actions) == []


def test_vmids_are_the_smallest_free_of_the_whole_fleet(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    fleet = make_fleet({"a": [8, 8], "b": [8, 8]}, {"old": {}, "x": {}, "y": {}})
    seen = {
        "old": SeenVm(vmid=100, cluster="a", server="a1", state="running"),
        "stranger": SeenVm(vmid=102, cluster="b", server="b1", state="running", memory_mib=512),
    }
    actions, warnings = plan_vms(fleet, formed(fleet, seen), frozenset(fleet.clusters), {})
    assert sorted(a.vmid for a in actions) == [101, 103]
    assert len(warnings) == 1
    assert "stranger (vmid 102) on b1 is not in the inventory" in warnings[0]


def test_the_texts_say_what_where_and_why(charity: Inventory, formed: Formed) -> None:
    actions, _ = plan_vms(charity, formed(charity), frozenset(charity.clusters), {})
    by_vm = {a.vm: a for a in actions if isinstance(a, PlaceVm)}
    mail = by_vm["mail1"]
    assert mail.what == f"create mail1 on {mail.server} and start it"
    assert "most memory free in alba" in mail.why
    assert f"kept apart from mail2 on {by_vm['mail2'].server}" in mail.why
    assert "its own IPv4 198.51.100." in mail.why
    assert charity.vms["mail1"].why in mail.why
    assert by_vm["mail1"].ha
    assert not by_vm["dns3"].ha
    assert "tcp 22, tcp 80, tcp 443 of 198.51.100." in by_vm["git"].why
    assert "by name on 203.0.113." in by_vm["wiki"].why


def test_what_is_stopped_is_started_where_its_server_is_online(
    make_fleet: MakeFleet, formed: Formed, applied: Applied
) -> None:
    fleet = make_fleet({"a": [8, 8]}, {"here": {}, "there": {}, "hazy": {}})
    seen = {
        "here": SeenVm(vmid=100, cluster="a", server="a1", state="stopped"),
        "there": SeenVm(vmid=101, cluster="a", server="a2", state="stopped"),
        "hazy": SeenVm(vmid=102, cluster="a", server="a1", state="unknown"),
    }
    world = formed(fleet, seen)
    down = {**world.servers, "a2": SeenServer(life=Life.MEMBER, node="offline")}
    world = world.model_copy(update={"servers": down})
    actions, warnings = plan_vms(fleet, world, frozenset({"a"}), {})
    assert [a.id for a in actions] == ["start:here"]
    assert isinstance(actions[0], StartVm)
    assert breaches(fleet, world, *actions) == []
    assert "there is stopped and its server a2 is not online" in warnings[0]


def test_what_is_astray_is_said_and_left(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet(
        {"a": [8, 8], "b": [8, 8]},
        {"pinned": {"cluster": "b"}, "mail": {"ipv4": "dedicated"}},
    )
    seen = {
        "pinned": SeenVm(vmid=100, cluster="a", server="a1", state="running"),
        "mail": SeenVm(
            vmid=101,
            cluster="a",
            server="a2",
            state="running",
            addresses=("10.1.128.50/20", "2001:db8:1::beef:1/64"),
        ),
    }
    actions, warnings = plan_vms(fleet, formed(fleet, seen), frozenset(fleet.clusters), {})
    assert actions == ()
    assert any("pinned runs in a but is pinned to b" in w for w in warnings)
    assert any("mail has other addresses" in w and "198.51.1.2" in w for w in warnings)


def test_while_a_site_is_renumbered_both_prefixes_are_right(
    make_fleet: MakeFleet, formed: Formed, applied: Applied
) -> None:
    fleet = make_fleet({"a": [8, 8]}, {"vm": {}})
    (place,), _ = plan_vms(fleet, formed(fleet), frozenset({"a"}), {})
    world = applied(formed(fleet), [place])
    site = fleet.sites[fleet.site_of("a")]
    old, new = site.subnets.ipv6, "2001:db8:77::/48"

    def warned(**subnets: object) -> list[str]:
        data = fleet.model_dump(mode="json")
        data["sites"][fleet.site_of("a")]["subnets"] |= subnets
        return list(
            plan_vms(Inventory.model_validate(data), world, frozenset({"a"}), {})[1],
        )

    assert warned() == []
    (begun,) = warned(ipv6_next=new)
    assert "it should get 2001:db8:77:" in begun and "lose nothing" in begun
    (switched,) = warned(ipv6=new, ipv6_old=str(old))
    assert "it should get 2001:db8:77:" in switched and "lose nothing" in switched
    (ended,) = warned(ipv6=new)
    assert "lose nothing" not in ended


def test_the_shared_address_of_a_vm_is_kept_as_long_as_it_can_be(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    nat = {"ipv4": "nat", "serves": [{"port": 22}]}
    fleet = make_fleet({"a": [8, 8]}, {"git": nat, "old": nat})
    pool = sorted(map(str, pool_addresses(fleet.sites[fleet.site_of("a")])))
    seen = {
        "old": SeenVm(
            vmid=100,
            cluster="a",
            server="a1",
            state="running",
            addresses=("10.1.128.11/20",),
            shared=pool[0],
        )
    }
    actions, warnings = plan_vms(fleet, formed(fleet, seen), frozenset(fleet.clusters), {})
    (place,) = (a for a in actions if isinstance(a, PlaceVm))
    assert place.addressing.shared not in (None, pool[0]), "old has port 22 of the first"
    assert not any("shared address" in w for w in warnings)
    assert not any(isinstance(a, DescribeVm) for a in actions), "it stands there already"
    lost = {"old": seen["old"].model_copy(update={"shared": "203.0.113.99"})}
    actions, warnings = plan_vms(fleet, formed(fleet, lost), frozenset(fleet.clusters), {})
    assert any("old was on the shared address 203.0.113.99" in w for w in warnings)
    (told,) = (a for a in actions if isinstance(a, DescribeVm))
    assert told.vm == "old" and told.addressing.shared in pool
    world = formed(fleet, lost)
    after = carried_out(fleet, world, Plan(fingerprint="", actions=actions))
    again, warnings = plan_vms(fleet, after, frozenset(fleet.clusters), {})
    assert again == () and not any("shared address" in w for w in warnings)
    silent = world.servers | {"a1": world.servers["a1"].model_copy(update={"node": "offline"})}
    quiet = world.model_copy(update={"servers": silent})
    actions, _ = plan_vms(fleet, quiet, frozenset(fleet.clusters), {})
    assert not any(isinstance(a, DescribeVm) for a in actions), "nobody there takes it down"


def test_vms_that_wait_for_the_same_share_a_line(make_fleet: MakeFleet) -> None:
    fleet = make_fleet({"a": [8, 8]}, {f"vm{n}": {} for n in range(3)})
    actions, warnings = plan_vms(fleet, World(), frozenset(), {})
    assert actions == ()
    assert warnings == ("vm0, vm1, vm2 are not placed: a: it is not formed yet → form a first",)


def test_health_that_is_not_critical_changes_nothing(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [8, 8]}, {"vm": {}})
    world = formed(fleet)
    plans = []
    healths: tuple[Health, ...] = ("ok", "warning", "unknown")
    for health in healths:
        servers = {
            name: seen.model_copy(update={"health": health}) for name, seen in world.servers.items()
        }
        seen = world.model_copy(update={"servers": servers})
        plans.append(plan_vms(fleet, seen, frozenset({"a"}), {}))
    assert plans[0] == plans[1] == plans[2]


def test_an_overfull_server_is_told(make_fleet: MakeFleet, formed: Formed) -> None:
    """Nothing is to be made, and yet nothing is well."""
    fleet = make_fleet({"a": [8, 8, 8]}, {"web": {}, "db": {}})
    at = {"cluster": "a", "server": "a1", "state": "running"}
    for mib, told in ((2048, 0), (1_000_000_000, 1)):
        seen = {
            "web": SeenVm.model_validate({"vmid": 100, "memory_mib": mib, **at}),
            "db": SeenVm.model_validate({"vmid": 101, **at}),
        }
        warnings = plan_vms(fleet, formed(fleet, seen), frozenset("a"), {})[1]
        overfull = [w for w in warnings if "overfull" in w]
        assert len(overfull) == told
        assert all("a1 is overfull" in w and "web: 976562)" in w for w in overfull)
