/*
 * admin_door.c: see admin_door.h.
 *
 * The poll is level-triggered: one connection is taken each time, and the next turn brings the others.
 */
#include "gateway/admin_door.h"

#include <errno.h>
#include <unistd.h>

static void open_it(struct admin_door *d);

static void on_pause_over(uv_timer_t *t)
{
    open_it(t->data);
}

/* What is missing comes back by itself, and the connection waits in the kernel's queue for it. */
static bool is_short_of_something(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

static void on_door(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    struct admin_door *d = p->data;
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);
    int fd = accept4(d->setup.fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        d->setup.entered(d->setup.ctx, &(struct admin_guest){fd, (struct sockaddr *)&addr, len});
    } else if (is_short_of_something(errno)) {
        uv_poll_stop(&d->poll);
        uv_timer_start(&d->pause, on_pause_over, ADMIN_DOOR_PAUSE_MS, 0);
    }
}

static void open_it(struct admin_door *d)
{
    uv_poll_start(&d->poll, UV_READABLE, on_door);
}

bool admin_door_open(struct admin_door *d, const struct admin_door_setup *setup)
{
    d->setup = *setup;
    if (uv_poll_init(setup->loop, &d->poll, setup->fd) != 0)
        return false;
    uv_timer_init(setup->loop, &d->pause);
    d->poll.data = d->pause.data = d;
    open_it(d);
    return true;
}

void admin_door_close(struct admin_door *d)
{
    uv_close((uv_handle_t *)&d->poll, NULL);
    uv_close((uv_handle_t *)&d->pause, NULL);
    close(d->setup.fd);
}
