/* Texts that are made at once. Their states lie side by side here, and one product takes a token
 * into each: weights are read once for all. A text that ends or leaves takes its state back to its
 * fork. decode.c and decode_group.c know each other: a text leaves by itself, and a group moves it.
 * Thread of the backend; allocates at create only.
 */
#ifndef EARSHOT_PIPELINE_DECODE_GROUP_H
#define EARSHOT_PIPELINE_DECODE_GROUP_H

#include "pipeline/decode.h"

#include <stddef.h>

enum { DECODE_GROUP_MAX = 8 }; /* more are hardly faster: docs/performance.md */

struct decode_group;

/* 0 or -ENOMEM. The hearing must outlive it; no text may be in it when it is destroyed. */
int decode_group_create(struct decode_group **out, struct hearing *hearing);
void decode_group_destroy(struct decode_group *g);

/* The last tokens of texts that have begun and not ended, at most DECODE_GROUP_MAX, into their
 * states; other texts leave the group. Each gets the bits that it gets alone. */
void decode_group_take(struct decode_group *g, struct decode *const *texts, size_t count);
/* If the text is in a group. */
void decode_leave(struct decode *d);

#endif
