/* This program once more, as a child that does what must not harm its parent. Any thread.
 */
#ifndef EARSHOT_BASE_CHILD_H
#define EARSHOT_BASE_CHILD_H

#include <stddef.h>
#include <sys/types.h>

struct child_file {
    int from; /* -1: /dev/null */
    int to;   /* its number in the child */
};

/* argv ends with NULL. Of the parent's descriptors the child has the files, in their order, and
 * those that outlive an exec; no signal is blocked in it. 0 or -errno, then *process is 0. */
int child_start(pid_t *process, char *const argv[], const struct child_file *files, size_t count);

#endif
