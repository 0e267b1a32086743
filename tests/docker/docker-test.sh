#!/usr/bin/env bash
# Bring the fleet of docker/compose.yaml up and check what its users rely on: `make docker-test`.
#
# A running Docker daemon is used when there is one, else a private one is started and taken down again (that needs
# root). Images that cannot be pulled are made: see base-image.sh and redis.Dockerfile. What is left is the tar file of
# the base image, in $BUILD/docker, and the build cache of a daemon that was there before. BASE chooses another base:
# BASE=debian:bookworm-slim.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/docker/daemon.sh
. tests/docker/daemon.sh
# shellcheck source=tests/docker/shared.sh
. tests/docker/shared.sh

# Without a daemon all of it moves into a network of its own, and starts one there.
if [ -z "${OWN_NETWORK:-}" ] && ! docker info >/dev/null 2>&1; then
    [ "$(id -u)" = 0 ] || { echo "no Docker daemon answers, and only root can start one" && exit 1; }
    sh tests/deps.sh docker.io iptables iproute2 slirp4netns
    echo "        no Docker daemon answers: starting one"
    OWN_NETWORK=yes daemon_network bash tests/docker/docker-test.sh
    exit
fi

BASE=${BASE:-debian:trixie-slim}
KEPT=$PWD/${BUILD:-build}/docker
SETTLE_S=5 # resolve_interval of docker/conf/tollgate.conf, and some slack
export COMPOSE_PROJECT_NAME=tollgate-test-$$
export TOLLGATE_IMAGE=tollgate:test-$$
export REDIS_IMAGE=redis:7
# Published on any free port.
export GATEWAY_1_PORT=127.0.0.1: GATEWAY_2_PORT=127.0.0.1:
# A machine may grant less than the fleet wants.
[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 65536 ] || TOLLGATE_NOFILE=$(ulimit -Hn)
export TOLLGATE_NOFILE=${TOLLGATE_NOFILE:-65536}
export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0

work=$(mktemp -d /tmp/tollgate-docker.XXXXXX)
made_images=()
passed=0
failed=0

# ---- tools -----------------------------------------------------------------------------------------------------------

compose() {
    if command -v docker-compose >/dev/null; then
        timeout 900 docker-compose -f docker/compose.yaml "$@"
    else
        timeout 900 docker compose -f docker/compose.yaml "$@"
    fi
}

quietly() {
    "$@" >>"$work/log" 2>&1
}

# check WHAT COMMAND...: one point.
check() {
    local what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failed=$((failed + 1))
        echo "FAILED  $what"
    fi
}

# within SECONDS COMMAND...: the command comes true in that time.
within() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >"$work/within"; do
        [ "$SECONDS" -lt "$until" ] || { cat "$work/within" && return 1; }
        sleep 0.2
    done
}

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    if [ "$failed" -gt 0 ] || [ "$status" -ne 0 ]; then
        tail -n 40 "$work/log" 2>/dev/null || true
        compose logs --no-color --tail 15 gateway-1 gateway-2 2>/dev/null || true
    fi
    quietly compose down --volumes --timeout 5 || true
    quietly docker rmi --force "$TOLLGATE_IMAGE" "${made_images[@]}" || true
    daemon_stop
    rm -rf "$work"
    exit "$status"
}

# ---- what is asked of the fleet --------------------------------------------------------------------------------------

containers() { # SERVICE
    docker ps --quiet --no-trunc --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        --filter "label=com.docker.compose.service=$1"
}

# Where a gateway is published; asked once for each life of a gateway.
url_of() { # SERVICE
    echo "http://$(compose port "$1" 8080 2>/dev/null)"
}

# get URL N: that many GETs; for each a line of status and the answer.
get() {
    local i
    for ((i = 0; i < $2; i++)); do
        curl --silent --max-time 5 --write-out ' %{http_code}\n' "$1" | tr -d '\n'
        echo
    done
}

# The containers that answered, one a line.
hosts_seen() { # URL N
    get "$1" "$2" | grep -oE '"host":[[:space:]]*"[^"]*"' | cut -d'"' -f4 | sort -u
}

sees_hosts() { # URL COUNT: requests reach that many containers
    local seen
    seen=$(hosts_seen "$1" 30 | wc -l)
    [ "$seen" -eq "$2" ] || echo "        $seen seen: $1"
    [ "$seen" -eq "$2" ]
}

all_ok() { # URL N
    local bad
    bad=$(get "$1" "$2" | grep -vcE ' 200$' || true)
    [ "$bad" -eq 0 ] || echo "        $bad of $2 not 200: $1"
    [ "$bad" -eq 0 ]
}

status_is() { # STATUS CURL-ARGUMENTS...
    local wanted=$1 got
    shift
    got=$(curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' "$@" || true)
    [ "$got" = "$wanted" ] || echo "        $got instead of $wanted: $*"
    [ "$got" = "$wanted" ]
}

is_healthy() { # SERVICE: every container of it
    local id ids
    ids=$(containers "$1")
    [ -n "$ids" ] || return 1
    for id in $ids; do
        [ "$(docker inspect --format '{{.State.Health.Status}}' "$id")" = healthy ] || return 1
    done
}

never_restarted() { # SERVICE: no container of it
    local id
    for id in $(containers "$1"); do
        [ "$(docker inspect --format '{{.RestartCount}}' "$id")" = 0 ] || return 1
    done
}

# ---- the points ------------------------------------------------------------------------------------------------------

test_health() {
    local service
    for service in gateway-1 gateway-2 users orders redis-1 redis-2 redis-3; do
        check "$service becomes healthy" within 60 is_healthy "$service"
    done
}

test_confinement() {
    local id
    id=$(containers gateway-1)
    docker exec "$id" cat /proc/1/status >"$work/status"
    check "the gateway is not root" grep -qE '^Uid:[[:space:]]+10001[[:space:]]+10001[[:space:]]+10001' "$work/status"
    check "it has no capabilities" grep -qE '^CapBnd:[[:space:]]+0+$' "$work/status"
    check "it cannot get more rights" grep -qE '^NoNewPrivs:[[:space:]]+1$' "$work/status"
    check "its root file system is read-only" docker exec --user 0 "$id" bash -c '! (: > /etc/probe) 2>/dev/null'
    check "the admin port is not published" test -z "$(docker port "$id" | grep -v ^8080 || true)"
}

test_requests() { # URL WHICH-GATEWAY
    check "requests pass to users, by $2" all_ok "$1/api/users/42" 20
    check "requests pass to orders, by $2" all_ok "$1/api/orders/7" 20
    check "both users are seen, by $2" sees_hosts "$1/api/users/42" 2
    check "both orders are seen, by $2" sees_hosts "$1/api/orders/7" 2
    check "a body passes, by $2" status_is 200 --data hello "$1/api/orders/"
    check "what has no route is a 404, by $2" status_is 404 "$1/nothing"
}

test_scaling() {
    local gateways
    gateways=$(containers gateway-1)$(containers gateway-2)
    check "users grow from 2 to 3" quietly compose up --detach --no-build --scale users=3
    check "the third is found, by one gateway" within "$SETTLE_S" sees_hosts "$one/api/users/42" 3
    check "the third is found, by the other" within "$SETTLE_S" sees_hosts "$two/api/users/42" 3
    check "neither gateway was replaced" test "$gateways" = "$(containers gateway-1)$(containers gateway-2)"
}

test_lost_replica() {
    local id
    id=$(containers users | head -n 1)
    all_ok "$one/api/users/42" 200 &
    local asking=$!
    quietly docker stop -t 5 "$id"
    check "no request fails while a user is stopped" wait "$asking"
    check "the two that are left are used" within "$SETTLE_S" sees_hosts "$two/api/users/42" 2
    check "no request fails afterwards, by one gateway" all_ok "$one/api/users/42" 60
    check "no request fails afterwards, by the other" all_ok "$two/api/users/42" 60
    quietly docker start "$id"
    check "it is used again when it is back" within "$((SETTLE_S + 10))" sees_hosts "$one/api/users/42" 3
}

# A gateway is stopped while it waits for a slow answer.
test_drain() {
    local id slow began=$SECONDS
    id=$(containers gateway-1)
    status_is 200 "$one/api/users/slow?ms=3000" &
    slow=$!
    sleep 0.7 # the request is on its way
    quietly compose stop gateway-1
    check "a request under way ends well when its gateway is stopped" wait "$slow"
    check "the gateway's exit code is 0" test "$(docker inspect --format '{{.State.ExitCode}}' "$id")" = 0
    check "it was not killed, and did not idle" test $((SECONDS - began)) -lt 15
    check "the other gateway goes on" all_ok "$two/api/users/42" 20
    quietly compose start gateway-1
    one=$(url_of gateway-1)
    check "it serves again when it is started again" within 10 status_is 200 "$one/api/users/42"
}

# Docker starts what crashed again, so that it may go unseen.
test_no_crash() {
    local service
    for service in gateway-1 gateway-2 users orders; do
        check "$service never crashed" never_restarted "$service"
    done
}

# No backend, no network, and the configuration that the image brings along.
test_alone() {
    local id
    check "the image's configuration is good" quietly docker run --rm --network none "$TOLLGATE_IMAGE" check
    id=$(docker run --detach --rm --read-only --cap-drop ALL --network none "$TOLLGATE_IMAGE")
    check "a gateway starts though no name resolves" within 10 quietly docker exec "$id" tollgate healthcheck
    check "and stops" quietly timeout 10 docker stop -t 8 "$id"
}

# ---- the course ------------------------------------------------------------------------------------------------------

get_ready() {
    command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1 ||
        sh tests/deps.sh docker.io docker-compose
    [ -n "${OWN_NETWORK:-}" ] || return 0
    mkdir "$work/docker"
    daemon_start "$work/docker"
}

get_images() {
    local suite=${BASE#debian:}
    mkdir -p "$KEPT"
    if ! docker image inspect "$BASE" >/dev/null 2>&1 && ! quietly timeout 120 docker pull --quiet "$BASE"; then
        echo "        $BASE cannot be pulled: making one"
        sh tests/deps.sh debootstrap
        tests/docker/base-image.sh "${suite%-slim}" "$KEPT"
        made_images+=("$BASE")
    fi
    if ! docker image inspect redis:7 >/dev/null 2>&1 && ! quietly timeout 120 docker pull --quiet redis:7; then
        echo "        redis:7 cannot be pulled: making one that stands for it"
        export REDIS_IMAGE=redis:test-$$
        made_images=("$REDIS_IMAGE" "${made_images[@]}")
        quietly docker build --build-arg "BASE=$BASE" --tag "$REDIS_IMAGE" - <tests/docker/redis.Dockerfile
    fi
}

trap clean_up EXIT
trap 'exit 1' INT TERM
get_ready
get_images
check "the image is built" quietly compose build --build-arg "BASE=$BASE" gateway-1
[ "$failed" -eq 0 ] || exit 1
echo "        $(docker image inspect --format '{{.Size}}' "$TOLLGATE_IMAGE" | awk '{ printf "%d MB", $1 / 1e6 }')"
check "the fleet comes up" quietly compose up --detach --no-build
[ "$failed" -eq 0 ] || exit 1
one=$(url_of gateway-1)
two=$(url_of gateway-2)
test_health
test_confinement
test_requests "$one" "one gateway"
test_requests "$two" "the other"
test_scaling
test_lost_replica
test_drain
test_shared
test_no_crash
test_alone
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
