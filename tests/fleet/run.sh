#!/bin/sh
# One file of the fleet's tests: run.sh stampede|large|limits|faults|coherence|ring|breaker [TEST]. In the environment: BUILD (build),
# FLEET=full (the long forms), SANITIZED=1 (smaller numbers).
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
tools=$build/fleet
mkdir -p "$tools"
flags="-std=gnu11 -D_GNU_SOURCE -I. -O2 -Wall -Wextra -Werror -Wshadow"
# shellcheck disable=SC2086
${CC:-gcc} $flags -o "$tools/pace" tests/fleet/pace.c
# shellcheck disable=SC2086
${CC:-gcc} $flags -shared -fPIC -o "$tools/reroute.so" tests/fleet/reroute.c -ldl
name=$1
shift
exec python3 -B "tests/fleet/$name.py" "$build/tollgate" "$@"
