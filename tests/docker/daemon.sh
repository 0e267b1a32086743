# A Docker daemon of one's own, for machines on which none is running. To be sourced.
#
#     daemon_start DIRECTORY     everything it writes lies there; sets DOCKER_HOST
#     daemon_stop                ends it and takes back what it did to the network
#
# It needs root. Only the process that daemon_start started is ever ended.
# shellcheck shell=bash

daemon_pid=
daemon_dir=

daemon_start() {
    daemon_dir=$1
    daemon_had_bridge=$(ip -o link show docker0 2>/dev/null || true)
    daemon_forward=$(cat /proc/sys/net/ipv4/ip_forward)
    iptables-save >"$daemon_dir/iptables.before"
    dockerd --data-root "$daemon_dir/data" --exec-root "$daemon_dir/run" --pidfile "$daemon_dir/dockerd.pid" \
        --host "unix://$daemon_dir/docker.sock" >"$daemon_dir/dockerd.log" 2>&1 &
    daemon_pid=$!
    export DOCKER_HOST=unix://$daemon_dir/docker.sock
    local try
    for ((try = 0; try < 60; try++)); do
        docker info >/dev/null 2>&1 && return 0
        kill -0 "$daemon_pid" 2>/dev/null || break
        sleep 0.5
    done
    echo "dockerd does not start:" >&2
    tail -n 5 "$daemon_dir/dockerd.log" >&2
    return 1
}

# TERM, and after 20 s KILL.
daemon_end_process() {
    local try
    kill -TERM "$daemon_pid" 2>/dev/null || return 0
    for ((try = 0; try < 40; try++)); do
        kill -0 "$daemon_pid" 2>/dev/null || break
        sleep 0.5
    done
    kill -KILL "$daemon_pid" 2>/dev/null || true
    wait "$daemon_pid" 2>/dev/null || true
}

daemon_stop() {
    [ -n "$daemon_pid" ] || return 0
    daemon_end_process
    daemon_pid=
    [ -n "$daemon_had_bridge" ] || ip link delete docker0 2>/dev/null || true
    # iptables-restore leaves alone the tables that the saved state does not name: those did not exist and are emptied.
    grep -q '^\*nat' "$daemon_dir/iptables.before" || { iptables -t nat -F && iptables -t nat -X; } 2>/dev/null || true
    grep -q '^\*filter' "$daemon_dir/iptables.before" ||
        { iptables -P FORWARD ACCEPT && iptables -F && iptables -X; } 2>/dev/null || true
    iptables-restore <"$daemon_dir/iptables.before" || true
    echo "$daemon_forward" >/proc/sys/net/ipv4/ip_forward
    awk -v dir="$daemon_dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | xargs -r -n 1 umount || true
    rm -rf --one-file-system "$daemon_dir"
}
