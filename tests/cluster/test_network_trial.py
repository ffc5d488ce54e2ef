"""The trial of a host's network: what NetworkShell tells the dead man's switch."""

from metal.drivers.proxmox.network_trial import network_trial


def test_the_same_network_is_the_same_trial_whatever_cards_are_asked_for() -> None:
    assert network_trial("auto lo\n", ["eno1"]).mark == network_trial("auto lo\n", ()).mark
    assert network_trial("auto lo\n", ()).mark != network_trial("auto eno1\n", ()).mark
