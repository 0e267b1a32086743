#!/bin/sh
# Start a gateway for a story: start.sh BINARY DIR. Reads DIR/gw.conf, waits until DIR/gw.sock takes connections (and
# DIR/admin.sock, which comes later, when the file names it), and leaves its process id in DIR/gw.pid, its log in
# DIR/access.log and DIR/error.log. A story ends it with stop.sh.
set -eu
binary=$1
dir=$2
"$binary" -c "$dir/gw.conf" >"$dir/access.log" 2>"$dir/error.log" &
echo $! >"$dir/gw.pid"
[ -z "${GATEWAY_PIDS:-}" ] || echo $! >>"$GATEWAY_PIDS"
last=gw.sock
! grep -q '^[[:space:]]*admin "unix:.*/admin.sock"' "$dir/gw.conf" || last=admin.sock
tries=0
until [ -S "$dir/gw.sock" ] && [ -S "$dir/$last" ]; do
    tries=$((tries + 1))
    if [ $tries -gt 200 ] || ! kill -0 "$(cat "$dir/gw.pid")" 2>/dev/null; then
        echo "the gateway did not start:"
        cat "$dir/error.log"
        exit 1
    fi
    sleep 0.05
done
