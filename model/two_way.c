/* Where windows lie, and which rows of the last one wait to be given. */
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

int two_way_init(struct two_way *t, struct backend *be, const struct two_way_config *c,
                 struct error *error)
{
    const struct encoder_options *o = &c->options;
    size_t most = c->max_rows * TWO_WAY_ROW_MS;
    *t = (struct two_way){.config = *c, .be = be};
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
    return 0;
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

void two_way_state_init(struct two_way_state *s, const struct two_way *t, struct encoder_state *e)
{
    const struct two_way_config *c = &t->config;
    /* Rows are given as fast as units come, so what waits beyond a window is at most a push. */
    size_t keep = (t->window + c->max_units / c->units + 1) * c->units;
    *s = (struct two_way_state){.way = t, .encoder = e};
    past_init(&s->units, &e->memory, keep, c->max_units, c->unit_dim);
    s->x = memory_rows(&e->memory, t->window, c->dim);
}

void two_way_reset(struct two_way_state *s)
{
    past_reset(&s->units, s->way->be, 0);
    s->start = 0;
    s->done = 0;
    s->ready = 0;
    s->ready_end = 0;
}

float *two_way_append(struct two_way_state *s, size_t units)
{
    return past_append(&s->units, s->way->be, units);
}

/* Encodes the next window, if one is due. */
static bool encode_next(struct two_way_state *s, bool end)
{
    const struct two_way *t = s->way;
    const struct two_way_config *c = &t->config;
    size_t units = past_rows(&s->units);
    size_t there = s->start + units / c->units;
    size_t wanted = s->done + t->hop + t->ahead;
    if (there == s->done || (there < wanted && !end)) {
        return false;
    }
    if (end && s->start > 0 && s->start == s->done && units <= c->padding) {
        return false;
    }
    size_t first = s->done - s->start;
    size_t stop = there < wanted ? there : wanted;
    size_t new_rows = there - s->done < t->hop ? there - s->done : t->hop;
    if (!end || stop < there) {
        units = (stop - s->start) * c->units;
    }
    c->encode(s->encoder,
              &(struct two_way_window){.units = past_first(&s->units),
                                       .count = units,
                                       .rows = stop - s->start,
                                       .start = s->start},
              s->x);
    s->done += new_rows;
    s->ready = first;
    s->ready_end = first + new_rows;
    size_t past = s->done - s->start;
    if (past > t->left) {
        past_drop(&s->units, (past - t->left) * c->units);
        s->start += past - t->left;
    }
    return true;
}

size_t two_way_advance(struct two_way_state *s, bool end, float *rows)
{
    const struct two_way *t = s->way;
    size_t dim = t->config.dim;
    size_t made = 0;
    while (made < t->given && (s->ready < s->ready_end || encode_next(s, end))) {
        size_t waiting = s->ready_end - s->ready;
        size_t count = waiting < t->given - made ? waiting : t->given - made;
        t->be->ops->copy(t->be, rows + made * dim, s->x + s->ready * dim, count * dim);
        s->ready += count;
        made += count;
        if (!is_windowed(t) && s->ready == s->ready_end) {
            break;
        }
    }
    return made;
}
