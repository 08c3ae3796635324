/* Runs a fuzz target over the files of a folder, whole and with some thousand random changes each,
 * always the same ones. No libFuzzer needed.
 *
 *     fuzz_gguf_regression tests/fuzz/corpus/gguf [changes [seconds]]
 *
 * With seconds it goes round again with other changes until so many have passed.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t random_state = 1;

static size_t random_below(size_t count)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(random_state >> 33) % count;
}

/* An allocation of just its size, so that ASan sees a read past the end. */
static void try(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + !size);
    if (copy) {
        memcpy(copy, data, size);
        LLVMFuzzerTestOneInput(copy, size);
    }
    free(copy);
}

static void change(uint8_t *data, size_t size)
{
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff};
    size_t at = random_below(size);
    size_t run = 1 + random_below(8);
    for (size_t i = at; i < size && i < at + run; i++) {
        data[i] = random_below(2) ? odd[random_below(sizeof(odd))] : (uint8_t)random_below(256);
    }
}

static void try_file(const uint8_t *data, size_t size, long changes)
{
    try(data, size);
    for (long i = 0; i < changes && size > 0; i++) {
        uint8_t *copy = malloc(size);
        if (!copy) {
            return;
        }
        memcpy(copy, data, size);
        for (size_t n = 1 + random_below(3); n > 0; n--) {
            change(copy, size);
        }
        try(copy, random_below(4) ? size : random_below(size));
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
    static uint8_t data[1 << 20];
    size_t size = fread(data, 1, sizeof(data), f);
    fclose(f);
    try_file(data, size, changes);
    return 0;
}

/* The files there were, or -1 when one could not be read. */
static int run_folder(const char *name, long changes)
{
    DIR *folder = opendir(name);
    if (!folder) {
        perror(name);
        return -1;
    }
    int files = 0;
    int failed = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[1024];
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
        failed += run_file(path, changes) < 0;
        files++;
    }
    closedir(folder);
    return failed > 0 ? -1 : files;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER [CHANGES [SECONDS]]\n", argv[0]);
        return 2;
    }
    long changes = argc > 2 ? atol(argv[2]) : 1000;
    long seconds = argc > 3 ? atol(argv[3]) : 0;
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
