/* A socket as a source: what a client sends, packet by packet. */
#ifndef EARSHOT_DAEMON_STREAM_SOURCE_H
#define EARSHOT_DAEMON_STREAM_SOURCE_H

#include "daemon/sources.h"
#include "daemon/stream_decoder.h"

/* fd: a SOCK_SEQPACKET, which it takes, also when it fails. The format has been checked. name: of
 * who speaks, "stream" without it. 0 or -errno. */
int stream_source_create(struct source **out, int fd, const struct stream_format *format,
                         const char *name, struct error *error);

#endif
