#include "model/two_way.h"

#include <errno.h>

enum {
    TWO_WAY_ROW_MS = 20,
    /* Rows a call gives, at least. Windows are given as they come, and what is computed from the
     * rows of a call must not depend on which those are; at the end of an utterance it cannot. */
    TWO_WAY_GIVE_LIVE = BACKEND_FEW_ROWS,
    TWO_WAY_GIVE_EXACT = 256,
};

static size_t rows_of(size_t ms)
{
    return (ms + TWO_WAY_ROW_MS - 1) / TWO_WAY_ROW_MS;
}

static bool is_windowed(const struct two_way *t)
{
    return t->config.options.streaming == ENCODER_WINDOWED;
}

/* Rows of the window's parts. Not windowed: one hop is all. */
static void set_window(struct two_way *t)
{
    const struct encoder_options *o = &t->config.options;
    bool windowed = is_windowed(t);
    t->left = windowed ? rows_of(o->left_ms) : 0;
    t->hop = windowed ? rows_of(o->hop_ms) : t->config.max_rows;
    t->ahead = windowed ? rows_of(o->ahead_ms) : 0;
    t->window = t->left + t->hop + t->ahead;
}

int two_way_init(struct two_way *t, struct bind *b, const struct two_way_config *c,
                 struct error *error)
{
    const struct encoder_options *o = &c->options;
    size_t most = c->max_rows * TWO_WAY_ROW_MS;
    *t = (struct two_way){.config = *c, .be = b->backend};
    set_window(t);
    if (is_windowed(t) && (o->hop_ms < TWO_WAY_ROW_MS || o->left_ms > most || o->hop_ms > most ||
                           o->ahead_ms > most || t->window > c->max_rows)) {
        return error_set(error, -EINVAL,
                         "a window of %zu + %zu + %zu ms: the hop must be at least %d, all "
                         "together at most %zu",
                         o->left_ms, o->hop_ms, o->ahead_ms, TWO_WAY_ROW_MS, most);
    }
    size_t pushed = c->max_units / c->units + 1;
    size_t give = is_windowed(t) ? TWO_WAY_GIVE_LIVE : TWO_WAY_GIVE_EXACT;
    t->given = pushed > give ? pushed : give;
    /* Rows are given as fast as units come, so what waits beyond a window is at most a push. */
    size_t keep = (t->window + pushed) * c->units;
    past_init(&t->units, &b->memory, keep, c->max_units, c->unit_dim);
    int r = memory_check(&b->memory, "the encoder", error);
    return r < 0 ? r : bind_alloc(b, &t->x, t->window, c->dim, error);
}

void two_way_describe(const struct two_way *t, struct encoder_info *info)
{
    const struct encoder_options *o = &t->config.options;
    info->rows_per_second = 1000 / TWO_WAY_ROW_MS;
    info->dim = t->config.dim;
    info->lookahead_ms = is_windowed(t) ? o->hop_ms + o->ahead_ms : 0;
    info->at_end = !is_windowed(t);
    info->max_rows = t->given;
}

void two_way_reset(struct two_way *t)
{
    past_reset(&t->units, t->be, 0);
    t->start = 0;
    t->done = 0;
    t->ready = 0;
    t->ready_end = 0;
}

float *two_way_append(struct two_way *t, size_t units)
{
    return past_append(&t->units, t->be, units);
}

/* Encodes the next window, if one is due. */
static bool encode_next(struct two_way *t, bool end)
{
    const struct two_way_config *c = &t->config;
    size_t units = past_rows(&t->units);
    size_t there = t->start + units / c->units;
    size_t wanted = t->done + t->hop + t->ahead;
    if (there == t->done || (there < wanted && !end)) {
        return false;
    }
    if (end && t->start > 0 && t->start == t->done && units <= c->padding) {
        return false;
    }
    size_t first = t->done - t->start;
    size_t stop = there < wanted ? there : wanted;
    size_t new_rows = there - t->done < t->hop ? there - t->done : t->hop;
    if (!end || stop < there) {
        units = (stop - t->start) * c->units;
    }
    c->encode(c->encoder,
              &(struct two_way_window){.units = past_first(&t->units),
                                       .count = units,
                                       .rows = stop - t->start,
                                       .start = t->start},
              t->x);
    t->done += new_rows;
    t->ready = first;
    t->ready_end = first + new_rows;
    size_t past = t->done - t->start;
    if (past > t->left) {
        past_drop(&t->units, (past - t->left) * c->units);
        t->start += past - t->left;
    }
    return true;
}

size_t two_way_advance(struct two_way *t, bool end, float *rows)
{
    size_t dim = t->config.dim;
    size_t made = 0;
    while (made < t->given && (t->ready < t->ready_end || encode_next(t, end))) {
        size_t waiting = t->ready_end - t->ready;
        size_t count = waiting < t->given - made ? waiting : t->given - made;
        t->be->ops->copy(t->be, rows + made * dim, t->x + t->ready * dim, count * dim);
        t->ready += count;
        made += count;
        if (!is_windowed(t) && t->ready == t->ready_end) {
            break;
        }
    }
    return made;
}
