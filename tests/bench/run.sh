#!/bin/sh
# Build the bench's tools and run it: run.sh [--rounds N] [--cases A,B] [--strace] [--callgrind] [--json FILE].
# ROUNDS=, CASES= and the other options may be given in the environment too (`make bench ROUNDS=3 CASES=small,post`).
set -eu
cd "$(dirname "$0")/../.."
tools=${BUILD:-build}/bench
mkdir -p "$tools"
for tool in load origin stream; do
    ${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -I. -O2 -Wall -Wextra -Werror -o "$tools/$tool" "tests/bench/$tool.c"
done
exec python3 -B tests/bench/bench.py --tools "$tools" "$@"
