#!/bin/bash
# The first process of a server of the lab: sets its own files up, then stands in for an init.
# All of the server dies with it. Arguments: its folder, its name.
set -eu
folder=$1 name=$2
cd /
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/libvirt
for part in etc/libvirt var/lib/libvirt var/log/libvirt; do
    mount --bind "$folder/$part" "/$part"
done
# The one thing that all servers share: the disks of their VMs.
mount --bind "$folder/../../disks" /var/lib/libvirt/images
mount --bind "$folder/etc/hosts" /etc/hosts
hostname "$name"
# As an init would: a service that ends is started again, orphans are collected.
keep() {
    while :; do
        "$@" </dev/null >>"$folder/${1##*/}.log" 2>&1 || true
        sleep 1
    done
}
if [ -d "$folder/etc/ceph" ]; then
    ceph=$folder/var/lib/ceph
    mkdir -p /run/ceph /run/sshd
    mount --bind "$folder/etc/ceph" /etc/ceph
    keep /usr/sbin/sshd -D -e -f "$folder/etc/ssh/sshd_config" &
    keep ceph-mon -f -i "$name" &
    [ ! -e "$ceph/manages" ] || keep ceph-mgr -f -i "$name" &
    { until [ -e "$ceph/osd/made" ]; do sleep 0.2; done; keep ceph-osd -f -i "$(cat "$ceph/osd/whoami")"; } &
fi
keep libvirtd -l -f /etc/libvirt/libvirtd.conf
