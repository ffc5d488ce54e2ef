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
while :; do
    libvirtd -l -f /etc/libvirt/libvirtd.conf </dev/null >>/var/log/libvirt/libvirtd.out 2>&1 || true
    sleep 1
done
