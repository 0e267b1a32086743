#!/bin/sh
# Run suites (those of the Makefile's SUITES) of the build in $BUILD and close with one line of counts.
set -u
BUILD=${BUILD:-build}
export BUILD
passed=0
failed=0
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
GATEWAY_PIDS=$out/pids # gateways that a failed story left behind are ended by these
export GATEWAY_PIDS

# run NAME COMMAND...: one test; its output is shown when it fails.
run() {
    name=$1
    shift
    if "$@" >"$out/log" 2>&1; then
        passed=$((passed + 1))
        echo "ok      $name  $(grep -E '^[0-9]+%: Checks: |^([0-9]+|all) passed' "$out/log" | tail -n 1)"
    else
        failed=$((failed + 1))
        echo "FAILED  $name"
        tail -n 60 "$out/log" | sed 's/^/        /'
    fi
}

for suite in "$@"; do
    case $suite in
    unit)
        for test in "$BUILD"/tests/unit/lib/test_* "$BUILD"/tests/unit/gateway/test_*; do
            case $test in *.o | *.d | *.gc*) continue ;; esac
            [ -x "$test" ] && run "unit/$(basename "$test")" timeout 120 "$test"
        done
        run unit/receiver timeout 60 python3 tests/trace/receiver.py --self-test
        ;;
    e2e)
        for story in tests/e2e/*.vtc; do
            run "e2e/$(basename "$story")" timeout 120 varnishtest -t 90 -D tollgate="$PWD/$BUILD/tollgate" \
                -D tests="$PWD/tests" "$story"
            [ ! -f "$GATEWAY_PIDS" ] || xargs -r kill -KILL <"$GATEWAY_PIDS" 2>/dev/null
            rm -f "$GATEWAY_PIDS"
        done
        ;;
    raw)
        run raw/framing timeout 120 python3 tests/raw/framing.py "$BUILD/tollgate"
        run raw/resting timeout 120 python3 tests/raw/resting.py "$BUILD/tollgate"
        ;;
    cache)
        run cache/conformance timeout 300 python3 tests/cache/conformance.py "$BUILD/tollgate"
        run cache/stampede timeout 300 python3 tests/cache/stampede.py "$BUILD/tollgate"
        ;;
    redis)
        run redis/check timeout 120 python3 tests/redis/check.py "$BUILD/tollgate"
        run redis/hostile timeout 300 python3 -B tests/redis/hostile.py "$BUILD/tollgate"
        ;;
    admin)
        for story in api streams top tail; do
            run "admin/$story" timeout 300 sh tests/admin/run.sh "$story"
        done
        ;;
    dashboard)
        if command -v chromium >/dev/null; then
            run dashboard/page timeout 300 python3 -B tests/dashboard/dashboard.py "$BUILD/tollgate"
        else
            echo "SKIPPED dashboard/page: there is no chromium here (Debian package chromium)"
        fi
        ;;
    trace)
        run trace/receiver timeout 120 python3 -B tests/trace/receiver.py --self-test
        run trace/story timeout 300 python3 -B tests/trace/story.py "$BUILD/tollgate"
        run trace/full timeout 1200 python3 -B tests/trace/full.py "$BUILD/tollgate"
        ;;
    protect) run protect/numbers timeout 300 sh tests/protect/run.sh ;;
    metrics) run metrics/prometheus timeout 120 sh tests/metrics/run.sh ;;
    debug) run debug/pages timeout 300 sh tests/debug/run.sh ;;
    fleet)
        for story in stampede large limits faults coherence ring breaker; do
            run "fleet/$story" timeout 600 sh tests/fleet/run.sh "$story"
        done
        ;;
    soak)
        run soak/short timeout 300 sh tests/soak/run.sh
        REQUESTS=2000 run soak/cached timeout 300 sh tests/soak/run.sh --cache
        ;;
    *)
        echo "no such suite: $suite"
        exit 2
        ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
