#!/bin/sh
# Ask the gateway of DIR to drain and wait for its end: stop.sh DIR. Fails when it takes too long or reports a fault.
set -eu
dir=$1
pid=$(cat "$dir/gw.pid")
kill -TERM "$pid"
tries=0
while kill -0 "$pid" 2>/dev/null; do
    tries=$((tries + 1))
    if [ $tries -gt 400 ]; then
        echo "the gateway does not end:"
        cat "$dir/error.log"
        kill -KILL "$pid"
        exit 1
    fi
    sleep 0.05
done
if grep -E 'ERROR: (Address|Leak|Thread)Sanitizer|runtime error|broken invariant' "$dir/error.log"; then
    cat "$dir/error.log"
    exit 1
fi
