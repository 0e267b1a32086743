#!/bin/sh
# Two demo backends and a gateway in the foreground: tests/demo.sh BINARY CONF. Ctrl-C ends all three.
set -eu
binary=$1
conf=$2
"$binary" demo --listen 127.0.0.1:9001 --name users &
users=$!
"$binary" demo --listen 127.0.0.1:9003 --name orders &
orders=$!
"$binary" -c "$conf" &
gateway=$!
stop() {
    trap '' INT TERM
    kill -TERM "$gateway" 2>/dev/null || true
    wait "$gateway" 2>/dev/null || true
    kill -TERM "$users" "$orders" 2>/dev/null || true
    wait "$users" "$orders" 2>/dev/null || true
    exit 0
}
trap stop INT TERM
cat <<'TEXT'

The gateway listens on http://127.0.0.1:8080. Try:

    curl http://127.0.0.1:8080/                       what there is
    curl http://127.0.0.1:8080/api/users/42           proxied; the answer shows what the backend saw
    curl -i http://127.0.0.1:8080/people/42           cached for 10 s: see X-Cache and Age
    curl -d hello http://127.0.0.1:8080/api/orders/   a POST
    curl -N http://127.0.0.1:8080/api/users/events    server-sent events, as they come
    curl -i http://127.0.0.1:8080/nothing             a problem, as JSON
    http://127.0.0.1:9901/                            the dashboard, in a browser
    curl http://127.0.0.1:9901/metrics                numbers

Ctrl-C stops it.

TEXT
wait "$gateway" || true
stop
