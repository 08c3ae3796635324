/* Files from the network, by libcurl: an interrupted one goes on where it ended, and a file gets
 * its name once it is whole and has its checksum. One thread; the progress is on stderr.
 */
#ifndef EARSHOT_MODELS_DOWNLOAD_H
#define EARSHOT_MODELS_DOWNLOAD_H

#include "base/error.h"
#include "models/checksum.h"

#include <stddef.h>
#include <stdint.h>

struct download {
    const char *address; /* https, or http of this machine */
    const char *name;    /* what progress and errors call it */
    const char *path;    /* PATH.part until it is whole */
    uint64_t bytes;      /* 0: unknown */
    struct checksum sum;
};

/* Ctrl-C and SIGTERM end a download from now on, and leave what has come. */
void download_begin(void);

/* 0, or -errno with the name and the reason in the message: -EINTR, -EBADMSG (another checksum,
 * another size), -ENOENT (not there), -EACCES, -EIO. A file that is whole already is not fetched.
 */
int download_file(const struct download *d, struct error *error);

/* What is at an address, at most `most` bytes, as a text that the caller frees. 0 or -errno. */
int download_text(const char *address, const char *name, size_t most, char **text,
                  struct error *error);

#endif
