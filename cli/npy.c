/* The header, padded to 64 bytes, then the floats. */
#include "cli/npy.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES = 128, /* magic, version, length, text padded with spaces: a multiple of 64 */
};

int npy_write(const char *path, const float *data, size_t rows, size_t cols, struct error *error)
{
    size_t bytes = rows * cols * sizeof(float);
    unsigned char *file = malloc(HEADER_BYTES + bytes);
    if (!file)
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    memcpy(file, "\x93NUMPY\x01\x00\x76\x00", 10);
    int n = snprintf((char *)file + 10, HEADER_BYTES - 10,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, cols);
    memset(file + 10 + n, ' ', (size_t)(HEADER_BYTES - 11 - n));
    file[HEADER_BYTES - 1] = '\n';
    memcpy(file + HEADER_BYTES, data, bytes);
    int code = file_replace(path, file, HEADER_BYTES + bytes, error);
    free(file);
    return code;
}
