# A Docker daemon of one's own, for machines on which none is running. To be sourced.
#
#     daemon_network COMMAND...  run it in a network of its own, where daemon_start is to be called
#     daemon_start DIRECTORY     everything the daemon writes lies there; sets DOCKER_HOST
#     daemon_stop                ends it
#
# A daemon writes rules into the firewall, changes what is forwarded and makes bridges. All that happens in a network
# namespace, which goes away with it: the machine's own network is neither changed nor put in order again. What is in
# there reaches the outside through slirp4netns, as any program of this machine would.
#
# It needs root. Only the processes that were started here are ever ended.
# shellcheck shell=bash

daemon_pid=
daemon_dir=

# Gives back COMMAND's status.
daemon_network() {
    local name=tollgate-docker-$$ slirp inside status=0
    ip netns add "$name" || return 1
    # What listens on the machine's loopback is none of its business.
    slirp4netns --configure --mtu=65520 --disable-host-loopback --netns-type=path "/run/netns/$name" tap0 \
        >/dev/null 2>&1 &
    slirp=$!
    # Not `ip netns exec`: that mounts another /sys, without the control groups.
    nsenter --net="/run/netns/$name" "$@" &
    inside=$!
    # shellcheck disable=SC2064
    trap "kill -TERM $inside 2>/dev/null || true" INT TERM
    wait "$inside" || status=$?
    # A signal ends the waiting, not what is waited for.
    while kill -0 "$inside" 2>/dev/null; do
        status=0
        wait "$inside" || status=$?
    done
    trap - INT TERM
    kill -TERM "$slirp" 2>/dev/null || true
    wait "$slirp" 2>/dev/null || true
    ip netns delete "$name" || true
    return "$status"
}

# Until the way to the outside is there.
daemon_await_network() {
    local try
    for ((try = 0; try < 50; try++)); do
        ip route show default | grep -q tap0 && return 0
        sleep 0.1
    done
    echo "slirp4netns does not start" >&2
    return 1
}

daemon_start() {
    daemon_dir=$1
    daemon_await_network || return 1
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
    awk -v dir="$daemon_dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | xargs -r -n 1 umount || true
    rm -rf --one-file-system "$daemon_dir"
}
