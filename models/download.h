/* Files from the network, by libcurl: an interrupted one goes on where it ended, and a file gets
 * its name once it is whole and has its checksum. One thread; the progress is on stderr, and the
 * end that stop.h asks for leaves what has come.
 */
#ifndef EARSHOT_MODELS_DOWNLOAD_H
#define EARSHOT_MODELS_DOWNLOAD_H

#include "base/error.h"
#include "models/checksum.h"

#include <stddef.h>
#include <stdint.h>

struct download {
    const char *address; /* https, or http of this machine; so is all that it leads to */
    const char *name;    /* what progress and errors call it */
    const char *path;    /* until it is whole PATH.part, and PATH.from, which says of what it is */
    uint64_t bytes;      /* 0: unknown */
    struct checksum sum;
};

/* Before all others. */
void download_begin(void);

/* 0, or -errno with the name and the reason in the message: -EINTR, -EBADMSG (another checksum,
 * another size), -ENOENT (not there, or not for us), -EIO. A file that is there already is checked,
 * and fetched anew where it is another. */
int download_file(const struct download *d, struct error *error);

/* What is at an address, at most `most` bytes, as a text that the caller frees. 0 or -errno. */
int download_text(const char *address, const char *name, size_t most, char **text,
                  struct error *error);

#endif
