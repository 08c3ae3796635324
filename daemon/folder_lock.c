/* The shared lock on a folder. An exclusive one is only asked for, never waited for: whoever gets
 * it is alone. flock gives the shared one up before it asks, so that one is taken again after each.
 */
#include "daemon/folder_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    SHARE_TRIES = 100, /* of 2 ms: another is rewriting a file */
};

void folder_lock_init(struct folder_lock *l, const char *path)
{
    *l = (struct folder_lock){.fd = -1};
    snprintf(l->path, sizeof l->path, "%s", path);
}

void folder_lock_finish(struct folder_lock *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

static void share(const struct folder_lock *l)
{
    for (int i = 0; i < SHARE_TRIES; i++) {
        if (flock(l->fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

/* True: we hold it alone, or the file system has no locks. */
static bool have_alone(const struct folder_lock *l)
{
    return flock(l->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

static bool is_the_same(const struct folder_lock *l)
{
    struct stat ours, there;
    return l->fd >= 0 && fstat(l->fd, &ours) == 0 && stat(l->path, &there) == 0 &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* False: there is no such folder. */
static bool join(struct folder_lock *l)
{
    if (is_the_same(l))
        return true;
    folder_lock_finish(l);
    l->fd = open(l->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (l->fd < 0)
        return false;
    l->first = have_alone(l);
    share(l);
    return true;
}

bool folder_lock_is_first(struct folder_lock *l)
{
    if (!join(l))
        return true;
    if (!l->first) {
        l->first = have_alone(l);
        share(l);
    }
    return l->first;
}

bool folder_lock_enter(struct folder_lock *l)
{
    if (!join(l) || have_alone(l))
        return true;
    share(l);
    return false;
}

void folder_lock_leave(struct folder_lock *l)
{
    if (l->fd >= 0)
        share(l);
}
