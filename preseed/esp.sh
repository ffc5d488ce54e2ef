#!/bin/sh
# Either system disk starts this server: what is in /boot/efi goes onto the ESP of the other disk,
# under the same identity, so that fstab mounts whichever is there. Runs after each run of dpkg by
# apt, which updates GRUB (/etc/apt/apt.conf.d/90metal-esp). Run it after a disk was replaced.
set -eu
here=$(findmnt -n -o SOURCE /boot/efi) || exit 0
array=$(basename "$(readlink -f "$(findmnt -n -o SOURCE /boot)")")
id=$(blkid -p -s UUID -o value "$here")
there=$(mktemp -d)
trap 'umount "$there" 2>/dev/null; rmdir "$there"' EXIT
for member in /sys/class/block/"$array"/slaves/*; do
    disk=$(dirname "$(readlink -f "$member")")
    for part in "$disk/${disk##*/}"*; do
        esp=/dev/${part##*/}
        [ "$esp" != "$here" ] || continue
        type=$(blkid -p -s PART_ENTRY_TYPE -o value "$esp") || continue
        [ "$type" = c12a7328-f81f-11d2-ba4b-00a0c93ec93b ] || continue
        [ "$(blkid -p -s UUID -o value "$esp")" = "$id" ] ||
            mkfs.vfat -F 32 -i "$(echo "$id" | tr -d -)" "$esp" >/dev/null
        mount -t vfat -o umask=0077 "$esp" "$there"
        diff -rq /boot/efi "$there" >/dev/null || cp -r /boot/efi/. "$there/"
        umount "$there"
    done
done
