#!/bin/sh
# In the initramfs, while the disk's key is waited for: the address, where the kernel's own ip=
# would not lead to it. It knows no IPv6, no VLAN, and no second card for one without a cable.
# What begins with METAL_ is in /etc/initramfs-tools/conf.d/metal. initramfs-network-end.sh takes
# it all back.
# In the background: whoever stands at the console need not wait for a cable.
if [ "$1" = prereqs ]; then echo udev; exit 0; fi
[ ! -e /conf/conf.d/metal ] || . /conf/conf.d/metal
[ -n "$METAL_ADDRESS" ] || exit 0
case $METAL_ADDRESS in *:*) family=-6 ;; *) family=-4 ;; esac

# The card that has $1 for its address or for its name.
card_of() {
    for found in /sys/class/net/*; do
        [ -e "$found/device" ] || continue
        if [ "${found##*/}" = "$1" ] || [ "$(cat "$found/address")" = "$1" ]; then
            echo "${found##*/}"
            return
        fi
    done
}

has_link() {
    [ -n "$1" ] && [ "$(cat "/sys/class/net/$1/carrier" 2>/dev/null)" = 1 ]
}

take() {
    on=$1
    if [ -n "$METAL_VLAN" ]; then
        modprobe -q 8021q
        ip link add link "$1" name metal-vlan type vlan id "$METAL_VLAN"
        ip link set dev metal-vlan up
        on=metal-vlan
    fi
    ip "$family" address add "$METAL_ADDRESS" dev "$on"
    ip "$family" route add default via "$METAL_GATEWAY" dev "$on"
    echo "metal: $METAL_ADDRESS is on $1${METAL_VLAN:+, VLAN $METAL_VLAN}" >/dev/console
}

leave() {
    [ -n "$1" ] || return
    [ ! -e /sys/class/net/metal-vlan ] || ip link delete metal-vlan
    ip address flush dev "$1"
    ip link set dev "$1" down
}

# The first card with a link, and another once that one has lost it. Behind the names of a bond's
# cards stands the address of the one it was booted through: for names that nothing has.
follow() {
    now=
    while [ -e /run/metal-network ]; do
        named=
        for wanted in $METAL_CARDS; do
            has_link "$now" && break
            [ -z "$named" ] || [ "${wanted%%:*}" = "$wanted" ] || continue
            card=$(card_of "$wanted")
            [ -n "$card" ] || continue
            named=1
            ip link set dev "$card" up
            has_link "$card" || continue
            leave "$now"
            ip link set dev "$card" up
            take "$card"
            now=$card
        done
        sleep 1
    done
    leave "$now"
}

touch /run/metal-network
follow &
echo $! >/run/metal-network.pid
