#!/bin/sh
# Fuzz: tests/fuzz/run.sh [fuzz_name.c|name ...]   (all of tests/fuzz/fuzz_*.c when none is named)
#
# T seconds (60) are split over the targets. What a target finds goes to $BUILD/fuzz/found/<name>, its seeds are in
# tests/fuzz/corpus/<name>. A crash, a sanitizer's report or a slow input fails the run and leaves the input in
# $BUILD/fuzz/crash. A target is linked with what it uses of lib/ and with what these lines of its say:
#     // needs: gateway/x.c gateway/y.c
#     // libs: -lpcre2-8
set -eu
cd "$(dirname "$0")/../.."

T=${T:-60}
BUILD=${BUILD:-build}
OUT=$BUILD/fuzz
MAX_LEN=${MAX_LEN:-4096}
FLAGS="-std=gnu11 -D_GNU_SOURCE -I. -O1 -g -fno-omit-frame-pointer -Wall -Wextra -Werror"
SANITIZE="address,undefined -fno-sanitize-recover=undefined"

for CLANG in ${CLANG:-clang clang-14}; do
    command -v "$CLANG" >/dev/null && break
done
command -v "$CLANG" >/dev/null || { echo "fuzz: clang is missing" >&2; exit 1; }

said() { # said KEY FILE: the words behind "// KEY:"
    sed -n "s|^// $1:||p" "$2" | tr '\n' ' '
}

build_lib() {
    rm -rf "${OUT:?}/lib"
    mkdir -p "$OUT/lib" "$OUT/crash"
    for src in lib/*.c; do
        # shellcheck disable=SC2086
        "$CLANG" $FLAGS -fsanitize=fuzzer-no-link,$SANITIZE -c "$src" -o "$OUT/$src.o"
    done
    ar rcs "$OUT/lib.a" "$OUT"/lib/*.o
}

fuzz() { # fuzz FILE SECONDS
    name=$(basename "$1" .c)
    name=${name#fuzz_}
    mkdir -p "$OUT/found/$name" "tests/fuzz/corpus/$name"
    # shellcheck disable=SC2046,SC2086
    "$CLANG" $FLAGS -fsanitize=fuzzer,$SANITIZE "$1" $(said needs "$1") "$OUT/lib.a" $(said libs "$1") -lpthread -lm \
        -o "$OUT/fuzz_$name"
    if "$OUT/fuzz_$name" -max_total_time="$2" -max_len="$MAX_LEN" -timeout=10 -print_final_stats=1 -verbosity=1 \
        -artifact_prefix="$OUT/crash/$name-" "$OUT/found/$name" "tests/fuzz/corpus/$name" >"$OUT/$name.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$OUT/$name.log")
        cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$OUT/$name.log" | tail -n 1)
        echo "fuzz: $name: $runs runs in $2 s, $cover edges, no fault"
    else
        tail -n 60 "$OUT/$name.log" >&2
        echo "fuzz: $name: FAILED, see $OUT/$name.log and $OUT/crash" >&2
        return 1
    fi
}

if [ $# -eq 0 ]; then
    set -- tests/fuzz/fuzz_*.c
fi
each=$((T / $#))
[ "$each" -gt 0 ] || each=1
rm -f "$OUT/lib.a"
build_lib
failed=0
for target in "$@"; do
    [ -f "$target" ] || target=tests/fuzz/fuzz_$(basename "${target#fuzz_}" .c).c
    fuzz "$target" "$each" || failed=1
done
exit $failed
