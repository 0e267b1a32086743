#!/bin/sh
# Wait until a line of FILE matches PATTERN: wait_log.sh FILE PATTERN. The log is written by another thread, in its time.
tries=0
until grep -Eq -- "$2" "$1"; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ]; then
        echo "no line matches $2:"
        cat "$1"
        exit 1
    fi
    sleep 0.05
done
