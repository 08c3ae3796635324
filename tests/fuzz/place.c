/* One file in a new folder below /dev/shm, or /tmp where that is not to be written. */
#include "tests/fuzz/place.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[32], path[64];

static void remove_place(void)
{
    DIR *entries = opendir(folder);
    for (struct dirent *e; entries && (e = readdir(entries));)
        unlinkat(dirfd(entries), e->d_name, 0);
    if (entries)
        closedir(entries);
    rmdir(folder);
}

static void make_place(void)
{
    strcpy(folder, "/dev/shm/earshot-fuzz-XXXXXX");
    if (!mkdtemp(folder)) {
        strcpy(folder, "/tmp/earshot-fuzz-XXXXXX");
        if (!mkdtemp(folder))
            abort();
    }
    snprintf(path, sizeof path, "%s/input", folder);
    atexit(remove_place);
}

const char *place_folder(void)
{
    if (!*folder)
        make_place();
    return folder;
}

const char *place_write(const uint8_t *data, size_t size)
{
    place_folder();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
    return path;
}
