/* FNV-1a, 64 bits: a fingerprint of bytes, against accidents and not against an adversary. */
#ifndef EARSHOT_MODEL_HASH_H
#define EARSHOT_MODEL_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(0xcbf29ce484222325)

/* Goes on from hash (HASH_START at first) over data [size]. */
uint64_t hash_bytes(uint64_t hash, const void *data, size_t size);

#endif
