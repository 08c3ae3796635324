/* Writes NumPy's .npy, version 1.0: float32, C order, [rows, cols]. */
#ifndef EARSHOT_CLI_NPY_H
#define EARSHOT_CLI_NPY_H

#include "base/error.h"

#include <stddef.h>

int npy_write(const char *path, const float *data, size_t rows, size_t cols, struct error *error);

#endif
