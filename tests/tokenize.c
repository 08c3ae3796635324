/* What tests/check_tokenizer.py asks: a vocabulary and texts go in, the ids of each text come out.
 *
 *     tokenize VOCABULARY < TEXTS
 *
 * VOCABULARY: u32 ids, u32 lengths [ids], the tokens' bytes in a row. TEXTS: u32 size and bytes,
 * again and again. A line of ids for each, and on stderr what the tokenizer cost.
 */
#include "model/tokenizer.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TEXT_MAX = 1 << 20,
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static size_t allocated(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static int create(struct tokenizer **t, const char *path, struct error *error)
{
    static unsigned char data[1 << 24];
    uint32_t count = 0;
    FILE *f = fopen(path, "rb");
    if (!f)
        return error_set(error, -1, "%s cannot be opened", path);
    size_t size = fread(data, 1, sizeof data, f);
    fclose(f);
    if (size >= sizeof count)
        memcpy(&count, data, sizeof count);
    size_t head = sizeof count * (1 + (size_t)count);
    if (size < head)
        return error_set(error, -1, "%s is too short", path);
    double begin = now_ms();
    size_t before = allocated();
    int rc = tokenizer_create(t, data + head, size - head, data + sizeof count, count, error);
    fprintf(stderr, "%u ids of %zu bytes: %.0f ms, %zu kB\n", count, size - head, now_ms() - begin,
            (allocated() - before) / 1024);
    return rc;
}

static void print_ids(const struct tokenizer *t, const char *text, size_t size)
{
    static uint32_t ids[TEXT_MAX];
    size_t count = tokenizer_encode(t, text, size, ids, TEXT_MAX);
    for (size_t i = 0; i < count; i++)
        printf("%s%u", i ? " " : "", ids[i]);
    putchar('\n');
}

int main(int argc, char **argv)
{
    static char text[TEXT_MAX];
    struct tokenizer *t;
    struct error error = {""};
    uint32_t size;
    if (argc != 2) {
        fprintf(stderr, "tokenize VOCABULARY < TEXTS\n");
        return 2;
    }
    if (create(&t, argv[1], &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    while (fread(&size, sizeof size, 1, stdin) == 1 && size <= TEXT_MAX &&
           fread(text, 1, size, stdin) == size)
        print_ids(t, text, size);
    tokenizer_destroy(t);
    return 0;
}
