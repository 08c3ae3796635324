/* Reads the .npy files of the golden vectors: float32 or int32, C order, up to 4 dimensions. */
#ifndef EARSHOT_TESTS_NPY_H
#define EARSHOT_TESTS_NPY_H

#include <stddef.h>
#include <stdint.h>

struct npy {
    size_t dims, shape[4];
    size_t count;  /* product of shape */
    float *floats; /* [count], owned; NULL in an int32 file */
    int32_t *ints; /* [count], owned; NULL in a float32 file */
};

int npy_load(struct npy *out, const char *path); /* 0 or -errno */
void npy_free(struct npy *a);

/* ||a - b|| / ||b|| */
double relative_error(const float *a, const float *b, size_t count);

#endif
