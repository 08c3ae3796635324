/* The header's shape, then the numbers. */
#include "tests/support/npy.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_shape(struct npy *a, const char *text)
{
    a->count = 1;
    while (*text && *text != ')') {
        char *end = NULL;
        size_t n = strtoul(text, &end, 10);
        if (end == text) {
            text++;
            continue;
        }
        if (a->dims == 4) {
            return -EINVAL;
        }
        a->shape[a->dims++] = n;
        a->count *= n;
        text = end;
    }
    return 0;
}

static int read_header(struct npy *a, FILE *f, bool *is_float)
{
    unsigned char start[10];
    char text[512];
    if (fread(start, 1, sizeof(start), f) != sizeof(start) ||
        memcmp(start, "\x93NUMPY\x01", 7) != 0) {
        return -EINVAL;
    }
    size_t size = start[8] + 256u * start[9];
    if (size >= sizeof(text) || fread(text, 1, size, f) != size) {
        return -EINVAL;
    }
    text[size] = '\0';
    const char *shape = strstr(text, "'shape': (");
    *is_float = strstr(text, "'<f4'") != NULL;
    if (!shape || (!*is_float && !strstr(text, "'<i4'")) || strstr(text, "True")) {
        return -EINVAL;
    }
    return parse_shape(a, shape + strlen("'shape': ("));
}

int npy_load(struct npy *out, const char *path)
{
    *out = (struct npy){0};
    FILE *f = fopen(path, "rb");
    if (!f) {
        return -errno;
    }
    bool is_float = false;
    int r = read_header(out, f, &is_float);
    void *data = r == 0 ? calloc(out->count + 1, sizeof(float)) : NULL;
    if (r == 0 && (!data || fread(data, sizeof(float), out->count, f) != out->count)) {
        r = -EIO;
    }
    fclose(f);
    if (r < 0) {
        free(data);
        return r;
    }
    if (is_float) {
        out->floats = data;
    } else {
        out->ints = data;
    }
    return 0;
}

void npy_free(struct npy *a)
{
    free(a->floats);
    free(a->ints);
    *a = (struct npy){0};
}

double relative_error(const float *a, const float *b, size_t count)
{
    double difference = 0.0;
    double norm = 0.0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)a[i] - (double)b[i];
        difference += d * d;
        norm += (double)b[i] * (double)b[i];
    }
    return sqrt(difference / norm);
}
