/* Runs a fuzz target over the files of a folder, whole and with some thousand random changes each.
 * No libFuzzer needed.
 *
 *     fuzz_gguf_regression tests/fuzz/corpus/gguf [CHANGES [SECONDS [SEED]]]
 *
 * With seconds it goes round again with other changes until so many have passed. The seed is
 * another one every time, and printed: the same seed makes the same changes. What a target dies of
 * is left in a file, which is named; the file in a folder of its own runs alone.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    FILE_MAX = 1 << 20, /* bytes */
    RUN_MAX = 8,        /* bytes that a change overwrites */
    MOVE_MAX = 64,      /* bytes that a change takes away or doubles */
};

/* Of a sanitizer, where there is one. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static uint64_t random_state;
static const uint8_t *current; /* what the target is given, NULL between two inputs */
static size_t current_size;

static size_t random_below(size_t count)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(random_state >> 33) % count;
}

static void keep_what_kills(void)
{
    static const char what[] = "the input is in ";
    char path[64];
    if (!current)
        return;
    int length = snprintf(path, sizeof path, "/tmp/earshot-fuzz-crash-%d\n", (int)getpid());
    path[length - 1] = '\0';
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, current, current_size) != (ssize_t)current_size)
        return;
    path[length - 1] = '\n';
    if (write(STDERR_FILENO, what, sizeof what - 1) < 0 ||
        write(STDERR_FILENO, path, (size_t)length) < 0)
        return;
}

static void on_signal(int number)
{
    signal(number, SIG_DFL);
    keep_what_kills();
    raise(number);
}

static void watch_for_death(void)
{
    signal(SIGABRT, on_signal);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_what_kills);
    else
        signal(SIGSEGV, on_signal);
}

/* An allocation of just its size, so that ASan sees a read past the end. */
static void try(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + !size);
    if (copy) {
        memcpy(copy, data, size);
        current = copy;
        current_size = size;
        LLVMFuzzerTestOneInput(copy, size);
        current = NULL;
    }
    free(copy);
}

static void overwrite(uint8_t *data, size_t size)
{
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff};
    size_t at = random_below(size);
    size_t run = 1 + random_below(RUN_MAX);
    for (size_t i = at; i < size && i < at + run; i++) {
        data[i] = random_below(2) ? odd[random_below(sizeof(odd))] : (uint8_t)random_below(256);
    }
}

/* Bytes from a place on, and not beyond the end. */
static size_t random_run(size_t at, size_t size)
{
    size_t run = 1 + random_below(MOVE_MAX);
    return run < size - at ? run : size - at;
}

/* data has room for MOVE_MAX bytes more; the new size, of at least a byte. */
static size_t change(uint8_t *data, size_t size)
{
    size_t at = random_below(size);
    size_t run = random_run(at, size);
    switch (random_below(8)) {
    case 0: /* takes some away */
        run -= run == size;
        memmove(data + at, data + at + run, size - at - run);
        return size - run;
    case 1: /* says some twice */
        memmove(data + at + run, data + at, size - at);
        return size + run;
    }
    overwrite(data, size);
    return size;
}

static void try_file(const uint8_t *data, size_t size, long changes)
{
    enum { CHANGES_MAX = 3 };
    try(data, size);
    for (long i = 0; i < changes && size > 0; i++) {
        uint8_t *copy = malloc(size + CHANGES_MAX * MOVE_MAX);
        if (!copy)
            return;
        memcpy(copy, data, size);
        size_t changed = size;
        for (size_t n = 1 + random_below(CHANGES_MAX); n > 0; n--)
            changed = change(copy, changed);
        try(copy, random_below(4) ? changed : random_below(changed));
        free(copy);
    }
}

static int run_file(const char *path, long changes)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return -1;
    }
    static uint8_t data[FILE_MAX];
    size_t size = fread(data, 1, sizeof(data), f);
    fclose(f);
    try_file(data, size, changes);
    return 0;
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The files there were, or -1 when one could not be read. */
static int run_folder(const char *name, long changes)
{
    struct dirent **entries;
    int files = scandir(name, &entries, is_input, alphasort);
    if (files < 0) {
        perror(name);
        return -1;
    }
    int failed = 0;
    for (int i = 0; i < files; i++) {
        char path[1024];
        snprintf(path, sizeof(path), "%s/%s", name, entries[i]->d_name);
        failed += run_file(path, changes) < 0;
        free(entries[i]);
    }
    free(entries);
    return failed > 0 ? -1 : files;
}

static uint64_t seed_of(const char *told)
{
    struct timespec now;
    if (told)
        return strtoull(told, NULL, 10);
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER [CHANGES [SECONDS [SEED]]]\n", argv[0]);
        return 2;
    }
    long changes = argc > 2 ? atol(argv[2]) : 1000;
    long seconds = argc > 3 ? atol(argv[3]) : 0;
    random_state = seed_of(argc > 4 ? argv[4] : NULL);
    printf("seed %llu\n", (unsigned long long)random_state);
    fflush(stdout);
    watch_for_death();
    time_t begin = time(NULL);
    int files = 0;
    long rounds = 0;
    do {
        files = run_folder(argv[1], changes);
        rounds++;
    } while (files > 0 && time(NULL) - begin < seconds);
    printf("%s: %d files, %ld changes of each\n", argv[1], files, changes * rounds);
    return files <= 0;
}
