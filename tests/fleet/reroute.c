/*
 * reroute.c: preloaded into a gateway, so that it reaches the nodes it knows by their common names through
 * doors of its own that a test can shut.
 *
 *     REROUTE=6379:7379,6380:7380 LD_PRELOAD=reroute.so tollgate ...
 *
 * A connection to 127.0.0.1:6379 goes to 127.0.0.1:7379. The names have to be common, since a node's name is
 * its place on the ring.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static unsigned door_of(unsigned port)
{
    const char *at = getenv("REROUTE");
    while (at && *at) {
        char *end;
        unsigned from = (unsigned)strtoul(at, &end, 10);
        unsigned to = *end == ':' ? (unsigned)strtoul(end + 1, &end, 10) : 0;
        if (from == port && to)
            return to;
        at = *end == ',' ? end + 1 : NULL;
    }
    return port;
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    static int (*real)(int, const struct sockaddr *, socklen_t);
    if (!__atomic_load_n(&real, __ATOMIC_RELAXED)) {
        void *found = dlsym(RTLD_NEXT, "connect");
        int (*function)(int, const struct sockaddr *, socklen_t);
        memcpy(&function, &found, sizeof(function)); /* ISO C has no cast for this */
        __atomic_store_n(&real, function, __ATOMIC_RELAXED);
    }
    if (address && address->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in a;
        memcpy(&a, address, sizeof(a));
        if (a.sin_addr.s_addr == htonl(INADDR_LOOPBACK)) {
            a.sin_port = htons((uint16_t)door_of(ntohs(a.sin_port)));
            return real(fd, (struct sockaddr *)&a, sizeof(a));
        }
    }
    return real(fd, address, len);
}
