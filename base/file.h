/* Whole files: mapped read-only, or replaced atomically (write to a temporary, fsync, rename). */
#ifndef EARSHOT_BASE_FILE_H
#define EARSHOT_BASE_FILE_H

#include "base/error.h"

#include <stddef.h>

struct file_map {
    const unsigned char *data; /* [size], read-only, unmapped by file_unmap */
    size_t size;               /* bytes */
};

/* Maps a regular file. Returns 0 or -errno with a message that names the path. An empty file maps
 * to size 0. */
int file_map(struct file_map *map, const char *path, struct error *error);
void file_unmap(struct file_map *map);
/* Lets [size] bytes at data, and what shares their pages, leave memory; all comes back when it is
 * read. */
void file_release(const struct file_map *map, const void *data, size_t size);
/* [size] bytes at data no longer depend on the file, which may be cut or written over: a copy takes
 * their place. 0 or -errno: then they are as they were. */
int file_detach(const struct file_map *map, const void *data, size_t size);

/* Opens a regular file, for its owner alone if it is made, and never waits for a pipe's other end.
 * The descriptor or -errno: -EINVAL for what is no regular file. */
int file_open_regular(const char *path, int flags);
/* strerror of what file_open_regular and file_map return. */
const char *file_why(int rc);

/* Readers see the old content or the new, never a part; on failure the old file stays. */
int file_replace(const char *path, const void *data, size_t size, struct error *error);

enum {
    FILE_REPLACE_MAX = 2,
};

struct file_text {
    const char *path;
    const void *data; /* [size] */
    size_t size;
};

/* The same for up to FILE_REPLACE_MAX of one folder: all are on the disk before the first gets its
 * name. */
int file_replace_all(const struct file_text *files, size_t count, struct error *error);

/* Deletes what writers of files of a folder left when they were killed, of names like the pattern
 * (as of fnmatch). Nobody may write meanwhile. Their count. */
size_t file_sweep(const char *folder, const char *pattern);

#endif
