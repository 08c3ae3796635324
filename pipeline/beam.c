/* The beam holds the likeliest texts so far, as the last nodes of a tree of tokens whose root is
 * the last settled one. Each has two sums over the paths that give it, as the rows of CTC have
 * them: of those that end with the blank, and of those that end with its last token.
 *
 *     row:  text, blank            -> the same text
 *           text, its last token   -> the same text; behind the blank: the text and the token again
 *           text, another token    -> the text and the token
 */
#include "pipeline/beam.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 48,     /* texts */
    HEARD_MAX = 32, /* tokens of a row that are looked at */
    FOUND_MAX = WIDTH * (HEARD_MAX + 1),
    NODES = WIDTH * (BEAM_OPEN_MAX + 2), /* every text's open tokens, and those of the next row */
    NOWHERE = -1,
};

static const float heard_least = -7.0f; /* log probability of a token that is looked at */
static const float never = -1e30f;
static const float likelihood_least = 1e-30f; /* of letters */

struct node {
    int parent;       /* NOWHERE: the root */
    int next_free;    /* of a node that is not in use */
    int older, newer; /* of those in use; a parent is older than its children */
    size_t uses;      /* its children, and the text that ends here */
    uint64_t since;   /* the row in which it came */
    struct beam_token token;
    float entered; /* ln of what token.row added to it, beside the likeliest text */
    double prior;  /* weighted language and bonus, from the beginning */
    struct language_context context;
    struct spelled spelled;
};

/* A text of the beam, or one that could be in it after this row. */
struct hypothesis {
    int node;           /* its last; of a new text its last but one */
    bool is_new;        /* it has one token more, */
    uint32_t id;        /* this one, */
    float blank, token; /* ln of the sums of its paths, by what they end with */
    float log_p;        /* of its last token in this row */
    float entered;      /* of token: what this row added, by its last token */
    double prior;       /* as a node's */
    double letters;     /* weighted ln of what its letters have heard */
    double score;       /* all of it: the beam is sorted by it */
    struct language_context context;
};

struct heard {
    uint32_t id;
    float log_p;
};

struct beam {
    struct beam_config config;
    float weight, bonus; /* of the language */
    uint64_t row;        /* the next one's number */
    struct node nodes[NODES];
    int first_free, root, oldest, newest;
    float *waiting; /* [BEAM_LETTERS_LAG, letters] probabilities that have not been heard, a ring,
                       owned */
    size_t waiting_from, waiting_count;
    float scale; /* that the next row of letters is multiplied by: the likeliest text has 1 */
    struct hypothesis texts[WIDTH];
    size_t count;
    struct beam_token settled[BEAM_OPEN_MAX]; /* that wait to be taken */
    size_t settled_count, taken;
    struct hypothesis found[FOUND_MAX]; /* scratch of a row, */
    size_t found_count;
};

static float log_add(float a, float b)
{
    float most = a > b ? a : b;
    float least = a > b ? b : a;
    return least <= never ? most : most + log1pf(expf(least - most));
}

int beam_create(struct beam **out, const struct beam_config *config)
{
    struct beam *b = calloc(1, sizeof(*b));
    *out = b;
    if (!b)
        return -ENOMEM;
    b->config = *config;
    if (config->language) {
        b->weight = language_weight(config->language);
        b->bonus = language_bonus(config->language);
    }
    if (config->spelling)
        b->waiting = calloc(BEAM_LETTERS_LAG * config->letters, sizeof(*b->waiting));
    if (config->spelling && !b->waiting) {
        beam_destroy(b);
        *out = NULL;
        return -ENOMEM;
    }
    beam_begin(b);
    return 0;
}

void beam_destroy(struct beam *b)
{
    if (!b)
        return;
    free(b->waiting);
    free(b);
}

void beam_copy(struct beam *to, const struct beam *from)
{
    float *waiting = to->waiting;
    memcpy(to, from, offsetof(struct beam, found));
    to->waiting = waiting;
    if (waiting)
        memcpy(waiting, from->waiting, BEAM_LETTERS_LAG * to->config.letters * sizeof(*waiting));
}

static void link_newest(struct beam *b, int n)
{
    b->nodes[n].older = b->newest;
    b->nodes[n].newer = NOWHERE;
    *(b->newest == NOWHERE ? &b->oldest : &b->nodes[b->newest].newer) = n;
    b->newest = n;
}

static void unlink_node(struct beam *b, int n)
{
    int older = b->nodes[n].older, newer = b->nodes[n].newer;
    *(older == NOWHERE ? &b->oldest : &b->nodes[older].newer) = newer;
    *(newer == NOWHERE ? &b->newest : &b->nodes[newer].older) = older;
}

static int node_create(struct beam *b, int parent)
{
    int n = b->first_free;
    b->first_free = b->nodes[n].next_free;
    b->nodes[n].parent = parent;
    b->nodes[n].uses = 0;
    if (parent != NOWHERE)
        b->nodes[parent].uses++;
    link_newest(b, n);
    return n;
}

/* One use less of a node; what nobody uses is free, and its parent has one use less. */
static void node_release(struct beam *b, int n)
{
    while (n != NOWHERE && --b->nodes[n].uses == 0) {
        int parent = b->nodes[n].parent;
        unlink_node(b, n);
        b->nodes[n].next_free = b->first_free;
        b->first_free = n;
        n = parent;
    }
}

void beam_begin(struct beam *b)
{
    for (int n = 0; n < NODES; n++) {
        b->nodes[n].uses = 0;
        b->nodes[n].next_free = n + 1;
    }
    b->first_free = 0;
    b->oldest = b->newest = NOWHERE;
    b->waiting_from = b->waiting_count = 0;
    b->scale = 1.0f;
    b->row = 0;
    b->settled_count = b->taken = 0;
    b->root = node_create(b, NOWHERE);
    b->nodes[b->root].token = (struct beam_token){.id = LANGUAGE_END};
    b->nodes[b->root].prior = 0.0;
    b->nodes[b->root].uses = 2; /* by the beam and by its text */
    spelled_begin(&b->nodes[b->root].spelled);
    if (b->config.language)
        language_begin(b->config.language, &b->nodes[b->root].context);
    b->texts[0] = (struct hypothesis){.node = b->root, .blank = 0.0f, .token = never};
    b->count = 1;
}

/* The least likely of them. */
static size_t find_least(const struct heard *heard, size_t count)
{
    size_t least = 0;
    for (size_t i = 1; i < count; i++)
        if (heard[i].log_p < heard[least].log_p)
            least = i;
    return least;
}

/* The likeliest tokens that a row may have heard. */
static size_t hear(const struct beam *b, const float *logs, struct heard *heard)
{
    size_t count = 0;
    for (uint32_t id = 1; id < b->config.vocab; id++) {
        if (logs[id] <= heard_least)
            continue;
        size_t at = count < HEARD_MAX ? count : find_least(heard, count);
        if (at < count && logs[id] <= heard[at].log_p)
            continue;
        heard[at] = (struct heard){id, logs[id]};
        count += at == count;
    }
    return count;
}

/* Letters of the nearest text up to node n that has some; the root always has. */
static const struct spelled *letters_up_to(const struct beam *b, int n)
{
    while (n != NOWHERE && b->nodes[n].spelled.count == 0)
        n = b->nodes[n].parent;
    return n == NOWHERE ? NULL : &b->nodes[n].spelled;
}

/* The oldest row of letters that waits, for all texts: children before their parents, as a path
 * comes from where the last row has left it. */
static void hear_letters(struct beam *b)
{
    float *p = b->waiting + b->waiting_from * b->config.letters;
    float most = 0.0f;
    for (size_t i = 0; i < b->config.letters; i++)
        p[i] *= b->scale;
    for (int n = b->newest; n != NOWHERE; n = b->nodes[n].older)
        spelled_hear(&b->nodes[n].spelled, letters_up_to(b, b->nodes[n].parent), p);
    for (int n = b->oldest; n != NOWHERE; n = b->nodes[n].newer) {
        int parent = b->nodes[n].parent;
        struct spelled *x = &b->nodes[n].spelled;
        spelled_weigh(x, parent == NOWHERE ? 0.0f : b->nodes[parent].spelled.likelihood);
        most = x->likelihood > most ? x->likelihood : most;
    }
    b->scale = most > 0.0f ? 1.0f / most : 1.0f;
    b->waiting_from = (b->waiting_from + 1) % BEAM_LETTERS_LAG;
    b->waiting_count--;
}

void beam_letters(struct beam *b, const float *logs)
{
    if (!b->config.spelling)
        return;
    if (b->waiting_count == BEAM_LETTERS_LAG)
        hear_letters(b);
    size_t at = (b->waiting_from + b->waiting_count++) % BEAM_LETTERS_LAG;
    for (size_t i = 0; i < b->config.letters; i++)
        b->waiting[at * b->config.letters + i] = expf(logs[i]);
}

static double weighted(const struct beam *b, float likelihood)
{
    return (double)(b->config.letters_weight *
                    logf(likelihood > likelihood_least ? likelihood : likelihood_least));
}

/* The texts as they are: a blank, or the last token still. */
static void stay(struct beam *b, const float *logs)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct hypothesis *x = &b->texts[i];
        const struct node *n = &b->nodes[x->node];
        struct hypothesis *y = &b->found[i];
        *y = *x;
        y->is_new = false;
        y->prior = n->prior;
        y->log_p = n->token.id ? logs[n->token.id] : never;
        y->blank = log_add(x->blank, x->token) + logs[0];
        y->token = x->token > never ? x->token + y->log_p : never;
        y->entered = never;
        y->letters = b->config.spelling ? weighted(b, n->spelled.likelihood) : 0.0;
    }
    b->found_count = b->count;
}

/* The text of the beam that is text i and a token, if there is one. */
static struct hypothesis *find_longer(struct beam *b, size_t i, uint32_t id)
{
    for (size_t j = 0; j < b->count; j++) {
        const struct node *n = &b->nodes[b->texts[j].node];
        if (n->parent == b->texts[i].node && n->token.id == id)
            return &b->found[j];
    }
    return NULL;
}

static void add_longer(struct beam *b, size_t i, const struct heard *heard, float log_p)
{
    const struct node *n = &b->nodes[b->texts[i].node];
    struct hypothesis *y = &b->found[b->found_count++];
    *y = (struct hypothesis){.node = b->texts[i].node,
                             .is_new = true,
                             .id = heard->id,
                             .blank = never,
                             .token = log_p,
                             .entered = log_p,
                             .log_p = heard->log_p,
                             .prior = n->prior + (double)b->bonus,
                             .letters = b->found[i].letters};
    if (b->config.language)
        y->prior += (double)(b->weight * language_next(b->config.language, &n->context, heard->id,
                                                       &y->context));
}

/* The texts with a token more. */
static void lengthen(struct beam *b, const struct heard *heard, size_t count)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct hypothesis *x = &b->texts[i];
        uint32_t last = b->nodes[x->node].token.id;
        float both = log_add(x->blank, x->token);
        for (size_t k = 0; k < count; k++) {
            float before = heard[k].id == last ? x->blank : both;
            float log_p = before + heard[k].log_p;
            if (before <= never)
                continue;
            struct hypothesis *known = find_longer(b, i, heard[k].id);
            if (known) {
                known->token = log_add(known->token, log_p);
                known->entered = log_p;
            } else {
                add_longer(b, i, &heard[k], log_p);
            }
        }
    }
}

/* The best of those from x on changes places with x. */
static void bring_best(struct hypothesis *x, const struct hypothesis *end)
{
    struct hypothesis *best = x;
    for (struct hypothesis *y = x; y < end; y++)
        if (y->score > best->score)
            best = y;
    struct hypothesis other = *x;
    *x = *best;
    *best = other;
}

/* The WIDTH best of those found, the best first. */
static void choose(struct beam *b)
{
    size_t wanted = b->found_count < WIDTH ? b->found_count : WIDTH;
    for (size_t i = 0; i < b->found_count; i++) {
        struct hypothesis *y = &b->found[i];
        y->score = (double)log_add(y->blank, y->token) + y->prior + y->letters;
    }
    for (size_t i = 0; i < wanted; i++)
        bring_best(b->found + i, b->found + b->found_count);
    b->found_count = wanted;
}

/* The node of a new text: it may be there, as texts that go on from it are. */
static int find_node(struct beam *b, const struct hypothesis *y)
{
    for (int n = 0; n < NODES; n++)
        if (b->nodes[n].uses && b->nodes[n].parent == y->node && b->nodes[n].token.id == y->id)
            return n;
    int n = node_create(b, y->node);
    b->nodes[n].since = b->row;
    b->nodes[n].token = (struct beam_token){.id = y->id};
    b->nodes[n].entered = never;
    b->nodes[n].prior = y->prior;
    b->nodes[n].context = y->context;
    if (b->config.spelling)
        spelled_go_on(&b->nodes[n].spelled, &b->nodes[y->node].spelled, b->config.spelling, y->id);
    return n;
}

/* A token was heard in the row that added most to it, beside the likeliest text of that row, ln
 * most; as clearly as in that row or one that it lasted to. */
static void note_row(struct beam *b, struct node *n, const struct hypothesis *y, float most)
{
    bool enters = y->entered > never && y->entered - most > n->entered;
    float probability = y->token > y->blank || enters ? expf(y->log_p) : 0.0f;
    if (enters) {
        n->entered = y->entered - most;
        n->token.row = b->row;
        n->token.probability = probability;
    } else if (probability > n->token.probability) {
        n->token.probability = probability;
    }
}

/* The beam is what was chosen; the sums are taken from the largest of them, so that no utterance is
 * too long for their precision. */
static void take_chosen(struct beam *b)
{
    size_t before = b->count;
    int nodes[WIDTH];
    float most = never;
    for (size_t i = 0; i < before; i++)
        nodes[i] = b->texts[i].node;
    for (size_t i = 0; i < b->found_count; i++) {
        float all = log_add(b->found[i].blank, b->found[i].token);
        most = all > most ? all : most;
    }
    b->count = b->found_count;
    for (size_t i = 0; i < b->count; i++) {
        struct hypothesis *x = &b->texts[i];
        *x = b->found[i];
        x->node = x->is_new ? find_node(b, x) : x->node;
        b->nodes[x->node].uses++;
        note_row(b, &b->nodes[x->node], x, most);
        x->blank -= x->blank > never ? most : 0.0f;
        x->token -= x->token > never ? most : 0.0f;
    }
    for (size_t i = 0; i < before; i++)
        node_release(b, nodes[i]);
}

/* The node behind the root on the way to a text's last, or NOWHERE. */
static int first_open(const struct beam *b, const struct hypothesis *x)
{
    int n = x->node;
    if (n == b->root)
        return NOWHERE;
    while (b->nodes[n].parent != b->root)
        n = b->nodes[n].parent;
    return n;
}

/* The others are given up; the best stays the first. */
static void keep(struct beam *b, const bool stays[static WIDTH])
{
    size_t kept = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (stays[i])
            b->texts[kept++] = b->texts[i];
        else
            node_release(b, b->texts[i].node);
    }
    b->count = kept;
}

/* The root is the next token now; texts that do not go on with it are given up. */
static void settle_one(struct beam *b, int first)
{
    int before = b->root;
    bool stays[WIDTH];
    for (size_t i = 0; i < b->count; i++)
        stays[i] = first_open(b, &b->texts[i]) == first;
    keep(b, stays);
    b->nodes[first].uses++;
    b->root = first;
    b->settled[b->settled_count++] = b->nodes[first].token;
    spelled_cut(&b->nodes[first].spelled, &b->nodes[before].spelled);
    b->nodes[first].parent = NOWHERE;
    b->nodes[before].uses--; /* by its child */
    node_release(b, before);
}

static bool all_go_on_with(const struct beam *b, int first)
{
    for (size_t i = 0; i < b->count; i++)
        if (first_open(b, &b->texts[i]) != first)
            return false;
    return true;
}

static bool is_old(const struct beam *b, int n, uint64_t rows)
{
    return b->nodes[n].since + rows <= b->row;
}

/* What the best text does without for so long does not come any more. */
static void give_up_old(struct beam *b, uint64_t rows)
{
    bool stays[WIDTH];
    for (size_t i = 0; i < b->count; i++) {
        int first = first_open(b, &b->texts[i]);
        stays[i] = first == NOWHERE || !is_old(b, first, rows);
    }
    keep(b, stays);
}

/* Tokens of the best text that came so many rows ago, and those that all texts have. */
static void settle(struct beam *b, uint64_t rows)
{
    int first = first_open(b, &b->texts[0]);
    while (first != NOWHERE && (is_old(b, first, rows) || all_go_on_with(b, first))) {
        settle_one(b, first);
        first = first_open(b, &b->texts[0]);
    }
    give_up_old(b, rows);
}

void beam_row(struct beam *b, const float *logs)
{
    struct heard heard[HEARD_MAX];
    b->settled_count = b->taken = 0;
    stay(b, logs);
    lengthen(b, heard, hear(b, logs, heard));
    choose(b);
    take_chosen(b);
    settle(b, BEAM_SETTLED_ROWS);
    b->row++;
}

/* Of a text to which nothing is added. */
static double whole_score(const struct beam *b, const struct hypothesis *x)
{
    const struct node *n = &b->nodes[x->node];
    struct language_context after;
    double score = (double)log_add(x->blank, x->token) + n->prior;
    if (b->config.language)
        score += (double)(b->weight *
                          language_next(b->config.language, &n->context, LANGUAGE_END, &after));
    if (b->config.spelling)
        score += weighted(b, spelled_whole(letters_up_to(b, x->node)));
    return score;
}

void beam_end(struct beam *b)
{
    b->settled_count = b->taken = 0;
    while (b->waiting_count > 0)
        hear_letters(b);
    for (size_t i = 0; i < b->count; i++)
        b->texts[i].score = whole_score(b, &b->texts[i]);
    bring_best(b->texts, b->texts + b->count);
    settle(b, 0);
}

bool beam_take(struct beam *b, struct beam_token *token)
{
    if (b->taken == b->settled_count)
        return false;
    *token = b->settled[b->taken++];
    return true;
}

size_t beam_open(const struct beam *b, struct beam_token *tokens)
{
    size_t count = 0;
    for (int n = b->texts[0].node; n != b->root; n = b->nodes[n].parent)
        count++;
    size_t i = count;
    for (int n = b->texts[0].node; n != b->root; n = b->nodes[n].parent)
        tokens[--i] = b->nodes[n].token;
    return count;
}
