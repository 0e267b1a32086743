/*
 * client.h: one client thread of the soak: sends its share of the requests and judges what comes back.
 *
 * Thread I of N sends the requests first_id + I, + N, + 2N, ... in this order, on one connection at a time,
 * which is kept as long as both ends want to.
 *
 *     struct client c = {.tally = &tally, .port = port, .index = i, .stride = n};
 *     pthread_create(&thread, NULL, client_run, &c);
 */
#ifndef SOAK_CLIENT_H
#define SOAK_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/soak/tally.h"
#include "tests/soak/wire.h"

struct client {
    struct tally *tally;
    uint16_t port;
    unsigned index, stride;
    bool may_close_idle; /* a kept connection may be found closed: repeat the request, do not complain */
    bool has_interim;    /* leave 103 answers out when false */

    struct wire wire; /* fd -1: none */
    bool is_reused;   /* the connection has served a request */
    bool has_head;    /* `head` holds a final answer's that came instead of 100 Continue */
    struct head head;
};

void *client_run(void *client);

#endif
