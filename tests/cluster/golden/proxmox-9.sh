#!/bin/sh
# alba1: Proxmox VE 9 on the Debian trixie that is installed. Two parts, a restart between:
#     sh proxmox.sh kernel      name, sources, all packages, Proxmox's kernel
#     sh proxmox.sh proxmox     Proxmox VE; Debian's own kernel goes
# Each part may be repeated, also after it was cut off in its middle.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

name='alba1'
domain='attic.example.org'
address='10.11.1.11'
keyring=/etc/apt/keyrings/metal-proxmox.gpg
sources=/etc/apt/sources.list.d/metal-proxmox.sources

refuse() {
    echo "metal: $1" >&2
    exit 1
}

# Another apt, such as a nightly one, is waited for; files that somebody changed stay as they are.
packages() {
    apt-get -q -y -o DPkg::Lock::Timeout=900 -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold "$@"
}

# Nothing is changed on a machine that is not the one that was meant.
is_the_one() {
    . /etc/os-release
    [ "$VERSION_CODENAME" = trixie ] || refuse "it runs $VERSION_CODENAME, and its profile says trixie"
    [ "$(dpkg --print-architecture)" = amd64 ] || refuse "Proxmox VE is there for amd64 only"
    [ "$(hostname)" = "$name" ] || refuse "it calls itself $(hostname), not $name"
    ip -o address show scope global | grep -qF " $address/" || refuse "no card of it has $address"
}

# The name must mean the real address: corosync and the certificate take theirs from here.
names_itself() {
    awk -v name="$name" -v full="$name.$domain" '
        /^[[:space:]]*#/ { print; next }
        { for (i = 2; i <= NF; i++) if ($i == name || $i == full) next; print }
    ' /etc/hosts >/etc/hosts.metal
    echo "$address $name.$domain $name" >>/etc/hosts.metal
    cmp -s /etc/hosts.metal /etc/hosts || cat /etc/hosts.metal >/etc/hosts
    rm /etc/hosts.metal
    case " $(hostname --all-ip-addresses) " in *" $address "*) ;; *) refuse "$address is not up" ;; esac
    [ "$(getent hosts "$name" | awk 'NR == 1 { print $1 }')" = "$address" ] ||
        refuse "$name does not mean $address: see /etc/hosts and /etc/nsswitch.conf"
}

# The key that signs the packages is known beforehand, by its SHA256: whatever came on the way.
trusts_proxmox() {
    mkdir -p /etc/apt/keyrings
    is_trusted "$keyring" && return
    curl -fsS --retry 5 --max-time 120 -o "$keyring.new" 'http://download.proxmox.com/debian/proxmox-archive-keyring-trixie.gpg'
    is_trusted "$keyring.new" || {
        rm -f "$keyring.new"
        refuse "http://download.proxmox.com/debian/proxmox-archive-keyring-trixie.gpg is not the key that it should be"
    }
    chmod 644 "$keyring.new"
    mv "$keyring.new" "$keyring"
}

is_trusted() {
    [ -s "$1" ] && echo "136673be77aba35dcce385b28737689ad64fd785a797e57897589aed08db6e45  $1" | sha256sum --check --status
}

has_sources() {
    cat >"$sources" <<'END'
Types: deb
URIs: http://download.proxmox.com/debian/pve
Suites: trixie
Components: pve-no-subscription
Signed-By: /etc/apt/keyrings/metal-proxmox.gpg

Types: deb
URIs: http://download.proxmox.com/debian/ceph-squid
Suites: trixie
Components: no-subscription
Signed-By: /etc/apt/keyrings/metal-proxmox.gpg
END
    without_enterprise
    packages update
}

# Proxmox's packages add sources that answer to subscribers only, and apt fails on them.
without_enterprise() {
    for file in /etc/apt/sources.list.d/pve-enterprise.* /etc/apt/sources.list.d/ceph.*; do
        if [ -e "$file" ] && grep -q enterprise.proxmox.com "$file"; then rm "$file"; fi
    done
}

without_debians_kernel() {
    case "$(uname -r)" in *-pve) ;; *) refuse "it runs $(uname -r), not yet Proxmox's kernel" ;; esac
    debians=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 'linux-image-*' 2>/dev/null |
        awk '$1 == "ii" { print $2 }')
    # Unquoted: one word a package.
    [ -z "$debians" ] || packages purge $debians
    update-grub
}

dpkg --configure -a
is_the_one
names_itself
case "$1" in
kernel)
    trusts_proxmox
    has_sources
    # It finds the VMs' disks and offers to boot them.
    packages purge os-prober
    packages full-upgrade
    packages install proxmox-default-kernel
    ;;
proxmox)
    echo 'postfix postfix/main_mailer_type select Local only' | debconf-set-selections
    has_sources
    packages install proxmox-ve postfix open-iscsi chrony ceph ceph-common ceph-fuse ceph-mds ceph-volume gdisk nvme-cli
    without_enterprise
    without_debians_kernel
    ;;
*) refuse "there is no part $1" ;;
esac
