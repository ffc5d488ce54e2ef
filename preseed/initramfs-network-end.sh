#!/bin/sh
# In the initramfs, once the disk is open: what initramfs-network.sh did is taken back before the
# system starts. A VLAN left on a card would take its frames from a bridge that the card is a port
# of, also while it is down.
if [ "$1" = prereqs ]; then echo dropbear; exit 0; fi
[ -e /run/metal-network ] || exit 0
rm /run/metal-network
rounds=0
while [ "$rounds" -lt 10 ] && kill -0 "$(cat /run/metal-network.pid)" 2>/dev/null; do
    rounds=$((rounds + 1))
    sleep 1
done
[ ! -e /sys/class/net/metal-vlan ] || ip link delete metal-vlan
