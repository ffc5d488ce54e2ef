#!/bin/sh
# In place of the installer's net-retriever: its components were pinned and checked by metal and
# lie here, so that no mirror decides what this installer consists of. anna, which calls this,
# chooses among them and checks their sums as ever.
here=/var/cache/metal
case "$1" in
    packages) cp "$here/Packages" "$2" ;;
    retrieve) cp "$here/${2##*/}" "$3" ;;
    error) exit 2 ;;
    *) exit 0 ;;
esac
