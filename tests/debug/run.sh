#!/bin/sh
# What a gateway says of itself under load: run.sh. In the environment: BUILD (build), PROFILES (10), SANITIZED.
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
tools=$build/debug
mkdir -p "$tools"
for tool in load origin; do
    ${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -I. -O2 -Wall -Wextra -Werror -o "$tools/$tool" "tests/bench/$tool.c"
done
exec python3 -B tests/debug/debug.py "$build/tollgate" "$tools" --profiles "${PROFILES:-10}"
