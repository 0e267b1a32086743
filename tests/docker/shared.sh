# What the gateways of the fleet share by its Redis nodes. To be sourced by docker-test.sh, whose tools it uses, and
# whose $one and $two are where the gateways are published.
# shellcheck shell=bash disable=SC2154

# The name is a part of what is stored, and both gateways have to be asked by the same.
SHOP=shop.example
KEYS=30    # so many that each of three nodes has some
SHARE_S=15 # resolve_interval, the links' pauses between tries, and some slack

# ---- what is asked ---------------------------------------------------------------------------------------------------

shop() { # URL CURL-ARGUMENTS...
    curl --silent --max-time 10 --header "Host: $SHOP" "$@"
}

cache_word() { # URL: X-Cache of its answer
    shop "$1" --output /dev/null --dump-header - | tr -d '\r' | awk 'tolower($1) == "x-cache:" { print $2 }'
}

is_cached_as() { # WORD URL
    local got
    got=$(cache_word "$2")
    [ "$got" = "$1" ] || echo "        $got instead of $1: $2"
    [ "$got" = "$1" ]
}

# Which request to the backends made the answer: a container, and how many it had had.
origin_of() { # stdin: answers
    grep -oE '"(host|served)":[[:space:]]*"?[^",]*' | paste -d ' ' - -
}

# words URL-PREFIX: X-Cache of each of the keys, a line each.
words() {
    cache_word "$1[1-$KEYS]"
}

# Each key ten times of each gateway.
keys_ok() { # NAME-PREFIX
    local i bad
    for ((i = 0; i < 10; i++)); do
        shop "$one/people/$1[1-$KEYS]" --output /dev/null --write-out '%{http_code}\n'
        shop "$two/people/$1[1-$KEYS]" --output /dev/null --write-out '%{http_code}\n'
    done >"$work/$1statuses"
    bad=$(grep -cvx 200 "$work/$1statuses" || true)
    [ "$bad" -eq 0 ] || echo "        $bad of $((20 * KEYS)) not 200: $1"
    [ "$bad" -eq 0 ]
}

count() { # WORD: lines of stdin that are it
    grep -cx "$1" || true
}

# ask_inside SERVICE PORT METHOD TARGET [HOST]: the answer to a request of the container's own loopback.
ask_inside() {
    # shellcheck disable=SC2016
    docker exec "$(containers "$1")" bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1"
        printf "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" "$2" "$3" "$4" >&3
        timeout 10 cat <&3' - "$2" "$3" "$4" "${5:-$SHOP}"
}

redis_check() { # SERVICE
    docker exec "$(containers "$1")" tollgate redis-check -c /etc/tollgate/tollgate.conf
}

nodes_are() { # SERVICE UP-OR-DOWN UP-OR-DOWN UP-OR-DOWN: of redis-1 to -3, as that gateway sees them
    local service=$1 seen
    shift
    redis_check "$service" >"$work/nodes" || true
    seen=$(awk '/^redis-/ { print / ok / ? "up" : "down" }' "$work/nodes" | xargs)
    [ "$seen" = "$*" ] || { echo "        ${seen:-nothing} instead of $*:" && cat "$work/nodes"; }
    [ "$seen" = "$*" ]
}

redis_check_fails() { # SERVICE
    ! redis_check "$1" >/dev/null
}

# What one gateway stores the other has: all keys, which have to be new ones.
all_shared() { # PREFIX
    local stored found
    stored=$(words "$one/people/$1" | count MISS)
    found=$(words "$two/people/$1" | count HIT)
    [ "$stored $found" = "$KEYS $KEYS" ] || echo "        $stored stored and $found found, of $KEYS"
    [ "$stored $found" = "$KEYS $KEYS" ]
}

# The same with names that nobody has used, at every call.
all_shared_anew() {
    all_shared "anew$((anew += 1))-"
}
anew=0

# ---- the points ------------------------------------------------------------------------------------------------------

test_shared_cache() {
    local stored i crowd=()
    check "what is new is a miss" is_cached_as MISS "$one/people/1"
    stored=$(shop "$one/people/1" | origin_of)
    check "what one gateway has stored is a hit by the other" is_cached_as HIT "$two/people/1"
    check "and came from the same request" test -n "$stored" -a "$stored" = "$(shop "$two/people/1" | origin_of)"
    check "this holds for the keys of all nodes" all_shared many-
    for i in {1..10}; do
        shop "$one/people/crowd?ms=700" --output "$work/crowd.$i" &
        shop "$two/people/crowd?ms=700" --output "$work/crowd.1$i" &
        crowd+=($!)
    done
    wait "${crowd[@]}"
    cat "$work"/crowd.* | origin_of >"$work/origins"
    check "20 clients of both at once are all answered" test "$(wc -l <"$work/origins")" = 20
    check "with one request to the backends" test "$(sort -u "$work/origins" | wc -l)" = 1
}

test_shared_purge() {
    shop "$one/people/7" --output /dev/null
    check "before a purge the other gateway has it" is_cached_as HIT "$two/people/7"
    ask_inside gateway-1 9901 POST "/cache/purge?url=http://$SHOP/people/7" localhost >"$work/purge"
    check "a purge by the admin port is complete" grep -qE '"complete":[[:space:]]*true' "$work/purge"
    check "it has reached the other gateway" is_cached_as MISS "$two/people/7"
    check "and what that stored anew is there for all" is_cached_as HIT "$one/people/7"
    ask_inside gateway-1 8080 PURGE /people/7 >"$work/purge"
    check "PURGE from its own loopback is answered" grep -q '^HTTP/1.1 20[04]' "$work/purge"
    check "it too has reached the other gateway" is_cached_as MISS "$two/people/7"
    check "PURGE from elsewhere is refused" status_is 403 --request PURGE "$one/people/7"
}

test_shared_limit() {
    local i
    for ((i = 0; i < 6; i++)); do
        get "$one/login" 1
        get "$two/login" 1
    done | grep -oE '[0-9]+$' >"$work/statuses"
    check "of 12 requests to both gateways 10 pass the limit" test "$(count 200 <"$work/statuses")" = 10
    check "and the other two are refused" test "$(count 429 <"$work/statuses")" = 2
}

# A node that is stopped takes its own keys with it, and nothing else.
test_lost_node() {
    local id asking
    id=$(containers redis-2)
    words "$one/people/lost-" >"$work/words"
    check "there is something to lose" test "$(count MISS <"$work/words")" = "$KEYS"
    keys_ok busy- &
    asking=$!
    quietly docker stop -t 5 "$id"
    check "no request fails while a Redis node is stopped" wait "$asking"
    words "$two/people/lost-" >"$work/words"
    check "what the two others keep is still a hit" test "$(count HIT <"$work/words")" -ge $((KEYS / 4))
    check "what it kept is fetched anew" test "$(count MISS <"$work/words")" -ge 1
    check "there is nothing else" test $(($(count HIT <"$work/words") + $(count MISS <"$work/words"))) = "$KEYS"
    check "redis-check tells which one is gone" nodes_are gateway-1 up down up
    check "and its exit code too" redis_check_fails gateway-1
    ask_inside gateway-1 9901 POST "/cache/purge?prefix=http://$SHOP/people/lost-" localhost >"$work/purge"
    check "a purge that it did not get is not called complete" grep -qE '"complete":[[:space:]]*false' "$work/purge"
    check "the others have carried it out" is_cached_as MISS "$two/people/lost-1"
    quietly docker start "$id"
    check "when it is back redis-check says so" within "$SHARE_S" nodes_are gateway-1 up up up
    check "and it keeps its share again" within "$SHARE_S" all_shared_anew
    check "no request fails afterwards" keys_ok busy-
}

# A gateway that finds no Redis serves, and joins the others when there is one.
test_late_redis() {
    local gateway nodes node
    gateway=$(containers gateway-2)
    nodes="$(containers redis-1) $(containers redis-2) $(containers redis-3)"
    # shellcheck disable=SC2086
    quietly docker stop -t 30 "$gateway" $nodes
    quietly docker start "$gateway"
    two=$(url_of gateway-2)
    check "a gateway starts without any Redis" within 10 status_is 200 "$two/api/users/42"
    check "it caches for itself" is_cached_as MISS "$two/people/alone"
    check "and has it" is_cached_as HIT "$two/people/alone"
    check "one that has lost all nodes goes on" keys_ok alone-
    get "$two/login" 12 | grep -oE '[0-9]+$' >"$work/statuses"
    check "a limit is one of the gateway alone" test "$(count 200 <"$work/statuses")" = 10
    check "and refuses the others, with no error" test "$(count 429 <"$work/statuses")" = 2
    check "redis-check finds none" nodes_are gateway-2 down down down
    # In another order, so that they get each other's addresses.
    for node in redis-2 redis-3 redis-1; do
        quietly compose start "$node"
    done
    check "it joins when they are there" within "$SHARE_S" all_shared_anew
    check "redis-check finds them all" nodes_are gateway-2 up up up
}

test_shared() {
    test_shared_cache
    test_shared_purge
    test_shared_limit
    test_lost_node
    test_late_redis
}
