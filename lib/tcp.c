/* tcp.c: see tcp.h. The kernel's header is used, for the C library's knows fewer fields. */
#include "lib/tcp.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

uint64_t tcp_bytes_read(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    int waiting = 0;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received) ||
        ioctl(fd, FIONREAD, &waiting) != 0)
        return UINT64_MAX;
    return info.tcpi_bytes_received - (uint64_t)waiting;
}
