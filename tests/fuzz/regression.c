/* Runs a fuzz target over the files of a folder, whole and with some thousand random changes each,
 * always the same ones. No libFuzzer needed.
 *
 *     fuzz_gguf_regression tests/fuzz/corpus/gguf [changes]
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER [CHANGES]\n", argv[0]);
        return 2;
    }
    DIR *folder = opendir(argv[1]);
    if (!folder) {
        perror(argv[1]);
        return 1;
    }
    long changes = argc > 2 ? atol(argv[2]) : 1000;
    int files = 0;
    int failed = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[1024];
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        failed += run_file(path, changes) < 0;
        files++;
    }
    closedir(folder);
    printf("%d files, %ld changes of each\n", files, changes);
    return failed > 0 || files == 0;
}
