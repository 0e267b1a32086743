/*
 * tcp.h: what the kernel knows of a TCP connection.
 */
#ifndef LIB_TCP_H
#define LIB_TCP_H

#include <stdint.h>

/* Bytes that have come in on socket FD and were read from it, since it was connected (RFC 4898,
 * tcpEStatsAppHCThruOctetsReceived less what waits). UINT64_MAX when the kernel does not tell: not a TCP
 * socket.
 */
uint64_t tcp_bytes_read(int fd);

#endif
