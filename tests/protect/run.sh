#!/bin/sh
# What limits, breakers and retries promise, under load: run.sh. In the environment: BUILD (build), SECONDS_LIMIT (3),
# REQUESTS (30000).
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
tools=$build/protect
mkdir -p "$tools"
for tool in load origin; do
    ${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -I. -O2 -Wall -Wextra -Werror -o "$tools/$tool" "tests/bench/$tool.c"
done
exec python3 -B tests/protect/protect.py "$build/tollgate" "$tools" --seconds "${SECONDS_LIMIT:-3}" \
    --requests "${REQUESTS:-30000}"
