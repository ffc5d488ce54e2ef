#!/bin/bash
# What a BMC of the lab does to its server: ipmi_sim calls it with "get power", "set power 0" and
# the like. The first two arguments are ours: the server's folder, the switch's namespace.
set -eu
folder=$1 switch=$2
shift 2
. "$folder/chassis.conf" # space, cable, name
exec 9>"$folder/chassis.lock"
flock 9

alive() { # a zombie that nobody has collected yet is dead
    read -r pid 2>/dev/null <"$folder/pid" && [ -n "$pid" ] || return 1
    read -r _ _ state _ <"/proc/$pid/stat" 2>/dev/null && [ "$state" != Z ]
}
cable() { # pulled by hand, it stays pulled
    [ -e "$folder/cut" ] || ip -n "$switch" link set "$cable" "$1"
}
power_off() {
    alive || return 0
    # First the cable: a kernel that says goodbye to the peers of a killed process is no power loss.
    cable down
    kill -KILL "$pid"
    while alive; do sleep 0.02; done
    : >"$folder/pid"
}
power_on() {
    alive && return 0
    [ ! -e "$folder/unplugged" ] || return 0
    cable up
    # Nothing of the BMC may live on in the server, its socket least of all.
    setsid ip netns exec "$space" unshare --mount --pid --uts --ipc --fork --kill-child \
        "$folder/server.sh" "$folder" "$name" </dev/null >>"$folder/console.log" 2>&1 \
        3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    outer=$!
    pid=
    until [ -n "$pid" ]; do
        kill -0 "$outer" || exit 1
        sleep 0.01
        read -r pid _ <"/proc/$outer/task/$outer/children" || true # it ends without a newline
    done
    echo "$pid" >"$folder/pid"
}

while [ $# -gt 0 ]; do
    case "$1 ${2-}" in
    "get power") if alive; then echo power:1; else echo power:0; fi; shift 2 ;;
    "set power") if [ "$3" = 0 ]; then power_off; else power_on; fi; shift 3 ;;
    "set reset") power_off; power_on; shift 3 ;;
    get*) echo "$2:0"; shift 2 ;;
    set*) shift 3 ;;
    check*) shift 2 ;;
    *) shift ;;
    esac
done
