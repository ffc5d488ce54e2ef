# What the hooks (preseed/partitioned.sh.j2, preseed/base.sh.j2) did for the installer alone.
set -e
rm -f /target/etc/dpkg/dpkg.cfg.d/metal
[ ! -e /target/usr/sbin/update-initramfs.distrib ] || rm /target/usr/sbin/update-initramfs
in-target dpkg-divert --quiet --local --rename --remove /usr/sbin/update-initramfs
