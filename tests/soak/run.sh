#!/bin/sh
# Soak the gateway: run.sh [--nginx] [--reload] [--cache] [options of soak]. In the environment: REQUESTS (4000), SEED,
# PORT (the first of two ports, 21900), BUILD (build). --nginx puts nginx in the gateway's place, for comparison; --reload
# sends SIGHUP ten times a second meanwhile; --cache has all answers that may be go through the cache (each is asked for
# once).
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
port=${PORT:-21900}
under_test=tollgate
reload=
cache=
while :; do
    case ${1:-} in
    --nginx) under_test=nginx ;;
    --reload) reload=yes ;;
    --cache) cache='cache { ttl = 1h }' ;;
    *) break ;;
    esac
    shift
done

mkdir -p "$build"
${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -I. -O2 -g -Wall -Wextra -Werror -o "$build/soak" tests/soak/*.c -lpthread

dir=$(mktemp -d)
chmod 755 "$dir" # nginx's workers have another user
sed -e "s|@PORT@|$port|" -e "s|@ORIGIN@|$((port + 1))|" -e "s|@DIR@|$dir|" -e "s|@CACHE@|$cache|" "tests/soak/$under_test.conf" >"$dir/conf"
if [ $under_test = nginx ]; then
    set -- --repeats 255 --no-interim --allow-idle-close "$@"
    /usr/sbin/nginx -c "$dir/conf" >"$dir/log" 2>&1 &
else
    "$build/tollgate" -c "$dir/conf" >"$dir/log" 2>&1 &
fi
proxy=$!
end() {
    status=$?
    trap - EXIT INT TERM
    kill -TERM $proxy 2>/dev/null || status=1
    wait $proxy || { echo "FAILED  $under_test did not end well ($?)" && status=1; }
    if [ $status -ne 0 ]; then
        echo "--- the end of its log"
        cat "$dir"/log "$dir"/*.err 2>/dev/null | tail -n 60
    fi
    rm -rf "$dir"
    exit $status
}
trap end EXIT
trap 'exit 130' INT TERM

tries=0
until python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ] || ! kill -0 $proxy 2>/dev/null; then
        echo "$under_test does not listen"
        exit 1
    fi
    sleep 0.1
done

[ -z "$reload" ] || set -- --reload-pid $proxy --reload-ms 100 "$@"
"$build/soak" --port "$port" --origin $((port + 1)) --pid $proxy --requests "${REQUESTS:-4000}" --seed "${SEED:-1}" "$@"
