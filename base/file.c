/* Whole files, mapped or replaced. */
#include "base/file.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANY "[A-Za-z0-9]" /* of mkostemp */
#define LARGE_PAGE ((uintptr_t)2 << 20)

static int map_open_file(struct file_map *map, int fd, const char *path, struct error *error)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    if (st.st_size == 0)
        return 0;
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return error_set(error, -errno, "%s: cannot map: %s", path, strerror(errno));
    map->data = data;
    map->size = (size_t)st.st_size;
    return 0;
}

/* A named pipe without a writer does not hold the caller: with O_NONBLOCK it opens, or is ENXIO. */
int file_open_regular(const char *path, int flags)
{
    struct stat st;
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return errno == ENXIO || errno == EISDIR ? -EINVAL : -errno;
    int rc = fstat(fd, &st) != 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
    if (!rc)
        return fd;
    close(fd);
    return rc;
}

const char *file_why(int rc)
{
    return rc == -EINVAL ? "not a regular file" : strerror(-rc);
}

int file_map(struct file_map *map, const char *path, struct error *error)
{
    *map = (struct file_map){0};
    int fd = file_open_regular(path, O_RDONLY);
    if (fd < 0)
        return error_set(error, fd, "%s: %s", path, file_why(fd));
    int result = map_open_file(map, fd, path, error);
    close(fd);
    return result;
}

void file_unmap(struct file_map *map)
{
    if (map->data != NULL)
        munmap((void *)map->data, map->size);
    *map = (struct file_map){0};
}

/* The kernel may map a file in large pages: what was released comes back with its neighbour. So all
 * large pages that the bytes touch go; others in them come back when they are read. */
void file_release(const struct file_map *map, const void *data, size_t size)
{
    uintptr_t first = (uintptr_t)map->data;
    uintptr_t begin = (uintptr_t)data / LARGE_PAGE * LARGE_PAGE;
    uintptr_t end = ((uintptr_t)data + size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
    if (begin < first)
        begin = first;
    if (end > first + map->size)
        end = first + map->size;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* Puts a copy of the pages in the place of the pages. */
static int copy_pages(unsigned char *pages, size_t size)
{
    void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
        return -errno;
    memcpy(copy, pages, size);
    mprotect(copy, size, PROT_READ);
    if (mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, pages) != MAP_FAILED)
        return 0;
    int rc = -errno;
    munmap(copy, size);
    return rc;
}

int file_detach(const struct file_map *map, const void *data, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)data / page * page;
    uintptr_t end = ((uintptr_t)data + size + page - 1) / page * page;
    if (!size || !map->size)
        return 0;
    return copy_pages((unsigned char *)begin, end - begin);
}

/* 0 or -errno. */
static int write_all(int fd, const unsigned char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Writes, syncs and closes fd, whatever happens. */
static int fill_and_close(int fd, const void *data, size_t size)
{
    int result = write_all(fd, data, size);
    if (result == 0 && fsync(fd) != 0)
        result = -errno;
    if (close(fd) != 0 && result == 0)
        result = -errno;
    return result;
}

/* The rename is only safe from a power cut once the folder is on the disk. */
static int sync_folder_of(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return result;
}

/* Whether a name may be one that somebody gives: letters (a first one, or all, large), then digits.
 */
static bool is_a_word(const char *name)
{
    static const char large[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const char *p = name + strspn(name, large);
    if (p - name <= 1)
        p += strspn(p, "abcdefghijklmnopqrstuvwxyz");
    p += strspn(p, "0123456789");
    return *p == '\0';
}

/* Earlier versions had the six characters alone. */
static bool is_temporary(const char *name, const char *pattern)
{
    char now[NAME_MAX + 1], before[NAME_MAX + 1];
    snprintf(now, sizeof(now), "%s.tmp-??????", pattern);
    snprintf(before, sizeof(before), "%s." ANY ANY ANY ANY ANY ANY, pattern);
    return fnmatch(now, name, FNM_PERIOD) == 0 ||
           (fnmatch(before, name, FNM_PERIOD) == 0 && !is_a_word(name + strlen(name) - 6));
}

size_t file_sweep(const char *folder, const char *pattern)
{
    struct dirent *entry;
    struct stat st;
    size_t count = 0;
    DIR *d = opendir(folder);
    while (d && (entry = readdir(d)))
        if (is_temporary(entry->d_name, pattern) &&
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            count += unlinkat(dirfd(d), entry->d_name, 0) == 0;
    if (d)
        closedir(d);
    return count;
}

/* Makes temporary, a name in the folder of path, of the data. */
static int stage(const struct file_text *file, char temporary[PATH_MAX], struct error *error)
{
    int length = snprintf(temporary, PATH_MAX, "%s.tmp-XXXXXX", file->path);
    if (length < 0 || length >= PATH_MAX) {
        temporary[0] = '\0';
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", file->path);
    }
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        int result = error_set(error, -errno, "%s: cannot create %s: %s", file->path, temporary,
                               strerror(errno));
        temporary[0] = '\0';
        return result;
    }
    int result = fill_and_close(fd, file->data, file->size);
    return result ? error_set(error, result, "%s: cannot write: %s", file->path, strerror(-result))
                  : 0;
}

int file_replace_all(const struct file_text *files, size_t count, struct error *error)
{
    char temporary[FILE_REPLACE_MAX][PATH_MAX] = {""};
    int result = 0;
    assert(count <= FILE_REPLACE_MAX);
    for (size_t i = 0; result == 0 && i < count; i++)
        result = stage(&files[i], temporary[i], error);
    for (size_t i = 0; result == 0 && i < count; i++) {
        if (rename(temporary[i], files[i].path) != 0)
            result =
                error_set(error, -errno, "%s: cannot write: %s", files[i].path, strerror(errno));
        else
            temporary[i][0] = '\0';
    }
    for (size_t i = 0; i < count; i++)
        if (temporary[i][0])
            unlink(temporary[i]);
    if (result != 0 || count == 0)
        return result;
    result = sync_folder_of(files[0].path);
    if (result != 0)
        return error_set(error, result, "%s: cannot sync its folder: %s", files[0].path,
                         strerror(-result));
    return 0;
}

int file_replace(const char *path, const void *data, size_t size, struct error *error)
{
    return file_replace_all(&(struct file_text){path, data, size}, 1, error);
}
