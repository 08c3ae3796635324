/* Hugging Face's hub: which files a repository has, with their sizes and checksums. One thread.
 */
#ifndef EARSHOT_MODELS_HUB_H
#define EARSHOT_MODELS_HUB_H

#include "base/error.h"
#include "models/checksum.h"

#include <stddef.h>
#include <stdint.h>

enum {
    HUB_NAME_MAX = 255,
    HUB_ADDRESS_MAX = 1024,
};

struct hub_file {
    char name[HUB_NAME_MAX + 1]; /* without folders */
    char address[HUB_ADDRESS_MAX];
    uint64_t bytes;
    struct checksum sum;
};

/* The one file at the top of a repository (OWNER/NAME) whose name matches a pattern, by the list
 * that the hub itself gives (GET /api/models/OWNER/NAME/tree/main); $HF_ENDPOINT names another hub,
 * as for the hub's own programs. 0, or -errno: -ENOENT (no such repository or file), -EINVAL
 * (several match, which the message names). */
int hub_find(struct hub_file *file, const char *repository, const char *pattern,
             struct error *error);

#endif
