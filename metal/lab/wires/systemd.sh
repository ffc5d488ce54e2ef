#!/bin/sh
# systemd of a gateway in the wires lab, as far as metal asks of it: there is none in a namespace.
# Called as systemctl or systemd-run. Units: one command line each in /run/lab/units.
set -eu
units=/run/lab/units pids=/run/lab/pids
mkdir -p "$units" "$pids"

# What ended and was not reaped yet lives no more.
lives() { [ -s "$pids/$1" ] && grep -qs '^State:[[:space:]]*[DIRSTt]' "/proc/$(cat "$pids/$1")/status"; }

begin() {
    lives "$1" && return 0
    case "$1" in
    nftables) nft -f /etc/nftables.conf; return ;;
    networking) ifup -a --force -i /etc/network/interfaces.d/metal; return ;;
    wg-quick@mesh)
        WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go wg-quick up mesh
        return
        ;;
    unbound) set -- "$1" unbound -d -p -c /etc/unbound/unbound.conf.d/metal.conf ;;
    haproxy) set -- "$1" haproxy -W -db -f /etc/haproxy/haproxy.cfg ;;
    radvd) set -- "$1" radvd -n -C /etc/radvd.conf -p /run/radvd.pid -m stderr ;;
    keepalived)
        set -- "$1" keepalived -n -l -p /run/keepalived.pid -r /run/vrrp.pid \
            -f /etc/keepalived/keepalived.conf
        ;;
    metal-nat64 | metal-dns64)
        file=/etc/systemd/system/$1.service
        sed -n 's/^ExecStartPre=//p' "$file" | while read -r line; do
            case "$line" in -*) ${line#-} || true ;; *) $line ;; esac
        done
        set -- "$1" $(sed -n 's/^ExecStart=//p' "$file")
        ;;
    *)
        [ -s "$units/$1" ] || return 5
        set -- "$1" sh "$units/$1"
        ;;
    esac
    name=$1
    shift
    setsid "$@" </dev/null >>"/run/lab/$name.log" 2>&1 9>&- &
    echo $! >"$pids/$name"
}

end() {
    case "$1" in
    nftables | networking) return ;;
    wg-quick@mesh) wg-quick down mesh 2>/dev/null || true; return ;;
    esac
    if lives "$1"; then
        kill -TERM "$(cat "$pids/$1")" 2>/dev/null || true
        while lives "$1"; do sleep 0.05; done
    fi
    rm -f "$pids/$1"
}

runs() {
    case "$1" in
    nftables) nft list table inet metal_filter >/dev/null 2>&1 ;;
    networking) true ;;
    wg-quick@mesh) ip link show mesh >/dev/null 2>&1 ;;
    *) lives "$1" ;;
    esac
}

run_later() {
    unit= seconds=
    while :; do
        case "$1" in
        -q | --collect) shift ;;
        --timer-property) shift 2 ;;
        --on-active) seconds=$2; shift 2 ;;
        --unit) unit=$2; shift 2 ;;
        *) break ;;
        esac
    done
    {
        printf 'exec'
        for word; do printf " '%s'" "$word"; done
        echo
    } >"$units/$unit.service"
    # The timer: killed, it starts nothing.
    setsid sh -c "sleep $seconds; rm -f $pids/$unit.timer; exec systemctl start $unit.service" \
        </dev/null >>/run/lab/timers.log 2>&1 9>&- &
    echo $! >"$pids/$unit.timer"
}

case "${0##*/}" in systemd-run) run_later "$@"; exit ;; esac
verb=$1
shift
while :; do
    case "${1:-}" in
    -q | --no-block) shift ;;
    --now) now=1; shift ;;
    *) break ;;
    esac
done
case "$verb" in
daemon-reload | enable) ;;
disable) for unit; do [ -z "${now:-}" ] || end "$unit"; done ;;
start) for unit; do begin "$unit"; done ;;
stop) for unit; do end "$unit"; done ;;
restart) for unit; do end "$unit"; begin "$unit"; done ;;
reload-or-restart)
    for unit; do
        if [ "$unit" = haproxy ] && lives haproxy; then
            kill -USR2 "$(cat "$pids/haproxy")"
        elif [ "$unit" = nftables ]; then
            begin nftables
        else
            end "$unit"
            begin "$unit"
        fi
    done
    ;;
is-active) for unit; do runs "$unit" || exit 3; done ;;
*) echo "the lab's systemctl knows no $verb" >&2; exit 1 ;;
esac
