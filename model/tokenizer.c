/* The trie lies in one array, level by level, the children of a node side by side and sorted by
 * byte. It is built from the tokens in sorted order: a node is a range of tokens that share its
 * bytes, and its children are that range cut where the next byte changes.
 */
#include "model/tokenizer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOKENIZER_NONE = 0,            /* id 0 is no bytes, so it marks a node that ends no token */
    TOKENIZER_TOKEN_MAX = 1 << 16, /* bytes of a token */
    TOKENIZER_COUNT_MAX = 1 << 22, /* ids */
};

struct node {
    uint32_t children; /* index of the first */
    uint16_t count;    /* of children, 0..256 */
    uint8_t byte;      /* that leads here */
    uint32_t id;       /* of the token that ends here, or TOKENIZER_NONE */
};

struct tokenizer {
    const char *bytes;
    uint32_t *starts; /* [count + 1], owned: token i is bytes starts[i]..starts[i + 1] */
    size_t count;
    struct node *nodes; /* [node_count], owned; the root is 0 */
    size_t node_count;
};

/* A node whose children are still to be made: tokens begin..end (sorted) begin with its bytes. */
struct range {
    size_t begin, end, depth;
};

struct builder {
    const struct tokenizer *tokenizer;
    uint32_t *sorted; /* [sorted_count]: ids by their bytes, the lower id first on a tie */
    size_t sorted_count;
    struct range *ranges; /* [node_count] */
};

static size_t token_size(const struct tokenizer *t, uint32_t id)
{
    return t->starts[id + 1] - t->starts[id];
}

static const char *token_data(const struct tokenizer *t, uint32_t id)
{
    return t->bytes + t->starts[id];
}

static int compare_ids(const void *a, const void *b, void *context)
{
    const struct tokenizer *t = context;
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    size_t x_size = token_size(t, x);
    size_t y_size = token_size(t, y);
    int r = memcmp(token_data(t, x), token_data(t, y), x_size < y_size ? x_size : y_size);
    if (r != 0) {
        return r;
    }
    if (x_size != y_size) {
        return x_size < y_size ? -1 : 1;
    }
    return (x > y) - (x < y);
}

static int read_starts(struct tokenizer *t, size_t bytes_size, const unsigned char *lengths,
                       struct error *error)
{
    t->starts = calloc(t->count + 1, sizeof(t->starts[0]));
    if (!t->starts) {
        return error_set(error, -ENOMEM, "vocabulary: no memory for %zu tokens", t->count);
    }
    for (size_t i = 0; i < t->count; i++) {
        uint32_t size;
        memcpy(&size, lengths + i * sizeof(size), sizeof(size));
        if (size > TOKENIZER_TOKEN_MAX || size > bytes_size - t->starts[i]) {
            return error_set(error, -EINVAL, "vocabulary: token %zu claims %u bytes", i, size);
        }
        t->starts[i + 1] = t->starts[i] + size;
    }
    if (t->starts[t->count] != bytes_size) {
        return error_set(error, -EINVAL, "vocabulary: the tokens have %u bytes, the text %zu",
                         t->starts[t->count], bytes_size);
    }
    if (token_size(t, 0) != 0) {
        return error_set(error, -EINVAL, "vocabulary: token 0 is not empty");
    }
    return 0;
}

static void sort_tokens(struct builder *b)
{
    for (size_t i = 0; i < b->tokenizer->count; i++) {
        if (token_size(b->tokenizer, (uint32_t)i) > 0) {
            b->sorted[b->sorted_count++] = (uint32_t)i;
        }
    }
    qsort_r(b->sorted, b->sorted_count, sizeof(b->sorted[0]), compare_ids, (void *)b->tokenizer);
}

static void build_children(struct tokenizer *t, struct builder *b, size_t index)
{
    struct range range = b->ranges[index];
    struct node *node = &t->nodes[index];
    node->children = (uint32_t)t->node_count;
    size_t at = range.begin;
    while (at < range.end && token_size(t, b->sorted[at]) == range.depth) {
        node->id = node->id == TOKENIZER_NONE ? b->sorted[at] : node->id;
        at++;
    }
    while (at < range.end) {
        char byte = token_data(t, b->sorted[at])[range.depth];
        size_t end = at + 1;
        while (end < range.end && token_data(t, b->sorted[end])[range.depth] == byte) {
            end++;
        }
        t->nodes[t->node_count] = (struct node){.byte = (uint8_t)byte};
        b->ranges[t->node_count++] = (struct range){at, end, range.depth + 1};
        node->count++;
        at = end;
    }
}

static int build_trie(struct tokenizer *t, size_t bytes_size, struct error *error)
{
    struct builder b = {.tokenizer = t};
    b.sorted = calloc(t->count, sizeof(b.sorted[0]));
    b.ranges = calloc(bytes_size + 1, sizeof(b.ranges[0]));
    t->nodes = calloc(bytes_size + 1, sizeof(t->nodes[0]));
    int r = 0;
    if (!b.sorted || !b.ranges || !t->nodes) {
        r = error_set(error, -ENOMEM, "vocabulary: no memory for %zu bytes", bytes_size);
    } else {
        sort_tokens(&b);
        b.ranges[0] = (struct range){0, b.sorted_count, 0};
        t->node_count = 1;
        for (size_t i = 0; i < t->node_count; i++) {
            build_children(t, &b, i);
        }
        struct node *fitting = realloc(t->nodes, t->node_count * sizeof(t->nodes[0]));
        t->nodes = fitting ? fitting : t->nodes;
    }
    free(b.sorted);
    free(b.ranges);
    return r;
}

static const struct node *child(const struct tokenizer *t, const struct node *node, uint8_t byte)
{
    const struct node *children = &t->nodes[node->children];
    size_t low = 0;
    size_t high = node->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (children[middle].byte < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < node->count && children[low].byte == byte ? &children[low] : NULL;
}

static int check_single_bytes(const struct tokenizer *t, struct error *error)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        const struct node *node = child(t, &t->nodes[0], (uint8_t)byte);
        if (!node || node->id == TOKENIZER_NONE) {
            return error_set(error, -EINVAL, "vocabulary: byte %u is no token", byte);
        }
    }
    return 0;
}

int tokenizer_create(struct tokenizer **out, const void *bytes, size_t bytes_size,
                     const void *lengths, size_t count, struct error *error)
{
    *out = NULL;
    if (count < 257 || count > TOKENIZER_COUNT_MAX || bytes_size > UINT32_MAX) {
        return error_set(error, -EINVAL, "vocabulary: %zu tokens of %zu bytes (257 to %d tokens)",
                         count, bytes_size, TOKENIZER_COUNT_MAX);
    }
    struct tokenizer *t = calloc(1, sizeof(*t));
    if (!t) {
        return error_set(error, -ENOMEM, "vocabulary: out of memory");
    }
    t->bytes = bytes;
    t->count = count;
    int r = read_starts(t, bytes_size, lengths, error);
    if (r == 0) {
        r = build_trie(t, bytes_size, error);
    }
    if (r == 0) {
        r = check_single_bytes(t, error);
    }
    if (r < 0) {
        tokenizer_destroy(t);
        return r;
    }
    *out = t;
    return 0;
}

void tokenizer_destroy(struct tokenizer *t)
{
    if (!t) {
        return;
    }
    free(t->starts);
    free(t->nodes);
    free(t);
}

size_t tokenizer_size(const struct tokenizer *t)
{
    return t->count;
}

/* The longest token at the start of text; size: its bytes, at least 1. */
static uint32_t longest_token(const struct tokenizer *t, const char *text, size_t left,
                              size_t *size)
{
    uint32_t id = TOKENIZER_NONE;
    const struct node *node = &t->nodes[0];
    for (size_t i = 0; i < left; i++) {
        node = child(t, node, (uint8_t)text[i]);
        if (!node) {
            break;
        }
        if (node->id != TOKENIZER_NONE) {
            id = node->id;
            *size = i + 1;
        }
    }
    return id;
}

size_t tokenizer_encode(const struct tokenizer *t, const char *text, size_t size, uint32_t *ids,
                        size_t capacity)
{
    size_t count = 0;
    for (size_t at = 0; at < size;) {
        size_t used = 1;
        uint32_t id = longest_token(t, text + at, size - at, &used);
        if (count < capacity) {
            ids[count] = id;
        }
        count++;
        at += used;
    }
    return count;
}

const char *tokenizer_bytes(const struct tokenizer *t, uint32_t id, size_t *size)
{
    if (id >= t->count) {
        *size = 0;
        return "";
    }
    *size = token_size(t, id);
    return *size > 0 ? token_data(t, id) : "";
}
