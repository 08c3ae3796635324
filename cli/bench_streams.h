/* earshot bench --streams N: what so many ears at once come to, beside one. */
#ifndef EARSHOT_CLI_BENCH_STREAMS_H
#define EARSHOT_CLI_BENCH_STREAMS_H

#include "cli/bench_report.h"
#include "model/open.h"

enum {
    BENCH_STREAMS_MAX = 256,
};

/* Adds to the report the tokens a second of one state and of `streams` that move side by side, and,
 * if path names a sound file, what it costs to hear its first minute so many times at once. 0 or
 * -errno. */
int bench_streams(struct bench_report *r, const struct opened *o, size_t streams, const char *path,
                  struct error *error);

#endif
