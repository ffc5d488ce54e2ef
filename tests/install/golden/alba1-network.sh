#!/bin/sh
# In the installer's initrd, run before it looks for a network. Its netcfg knows no VLAN, takes
# every card down that it sees, and of two cards might choose one that leads elsewhere. So the
# network of alba1 is made here, over the first of these cards that has a link, and netcfg is
# told to leave it. Where none has one within two minutes all is left to netcfg.
# Behind the names of a bond's cards stands the address of the one it boots through: for names that
# nothing has.
set -- eno1 eno2 02:00:5e:00:01:01

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
    [ "$(cat "/sys/class/net/$1/carrier" 2>/dev/null)" = 1 ]
}

take() {
    ip link set dev lo up
    on=$1
    on=vlan30
    modprobe 8021q
    ip link add link "$1" name "$on" type vlan id 30
    ip link set dev "$on" up
    ip address add 10.11.1.11/24 dev "$on"
    ip route add default via 10.11.1.1 dev "$on"
    # As netcfg writes them: the installer copies them to the new system.
    mkdir -p /etc/network
    printf '%s\n' 'source /etc/network/interfaces.d/*' '' 'auto lo' 'iface lo inet loopback' '' 'auto vlan30' 'iface vlan30 inet static' '    vlan-raw-device @card@' '    vlan-id 30' '    pre-up ip link set dev @card@ up' '    pre-up [ -e /sys/class/net/vlan30 ] || ip link add link @card@ name vlan30 type vlan id 30' '    address 10.11.1.11/24' '    gateway 10.11.1.1' '    dns-nameservers 10.11.1.1' '    dns-search attic.example.org' | sed "s,@card@,$1," >/etc/network/interfaces
    printf '%s\n' 'search attic.example.org' 'nameserver 10.11.1.1' >/etc/resolv.conf
    debconf-set netcfg/enable false
    echo "metal: 10.11.1.11 is on $1, VLAN 30" >/dev/console
}

tries=0
while [ "$tries" -lt 120 ]; do
    named=
    for wanted; do
        [ -z "$named" ] || [ "${wanted%%:*}" = "$wanted" ] || continue
        card=$(card_of "$wanted")
        [ -n "$card" ] || continue
        named=1
        ip link set dev "$card" up
        has_link "$card" || continue
        take "$card"
        exit 0
    done
    tries=$((tries + 1))
    sleep 1
done
echo "metal: none of the cards $* has a link" >/dev/console
