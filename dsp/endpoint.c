/* Closed, a leaky count of speech frames must reach begin_ms: a frame of speech adds one, a frame
 * of silence takes one away, what is between leaves it. Open, silence in a row must reach end_ms.
 *
 *              preroll_ms                        end_ms
 *            |<---------->|                     |<------------->|
 *     -------[····  ######|##########  #########|~~~~~]---------|-----
 *            begin     BEGIN told        last speech  end       END told
 *                                               |<--->| tail_ms
 *
 * An utterance that becomes too long is cut where speech is least likely, in the mean over 80 ms,
 * in its last quarter: as soon as a pause of 80 ms there is over, or else when max_ms is reached.
 * Both places may lie behind us, so what comes after the best one so far is held back
 * (endpoint_certain). What follows the cut is the next utterance, and not a frame is lost; where it
 * is all silence, there is none. One that is held is never cut at a pause before max_ms, and goes
 * on being held.
 *
 *     begin             3/4 max_ms     cut_frame          max_ms
 *     -[################|##############.#################|
 *                                      |<--- the next one, told here
 *
 * Who can tell from the words may end an utterance before end_ms: after end_min_ms of silence
 * ENDPOINT_PAUSE asks, once in a silence. What is kept is the same as at end_ms: the tail.
 *
 * A probability is about the sound lag_ms ago, and so is the place to cut.
 */
#include "dsp/endpoint.h"

#include "dsp/vad.h"

#include <limits.h>
#include <math.h>

enum {
    FRAME_MS = 10,
    CERTAIN_SILENCE = 3,   /* a pause has this part of the end's threshold */
    LIMIT_MARGIN_MS = 100, /* an utterance may get what has no frame yet, on top of max_ms */
};

/* vad.h speaks of 150 ms ago, so of the 500 ms before BEGIN some 210 are speech and 290 come before
 * it, an utterance goes on for 250 ms after its last word, and END is told 650 ms after that word,
 * or 450 ms where it is known to be over. docs/performance.md has what other values would cut in
 * two.
 */
struct endpoint_config endpoint_config_default(void)
{
    return (struct endpoint_config){
        .begin_threshold = 0.37f,
        .end_threshold = 0.3f,
        .begin_ms = 60,
        .end_ms = 500,
        .end_min_ms = 300,
        .preroll_ms = 500,
        .tail_ms = 100,
        .max_ms = 20000,
        .lag_ms = VAD_DELAY * FRAME_MS,
    };
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

struct endpoint_config endpoint_limit(struct endpoint_config config, size_t max_ms)
{
    if (max_ms == ENDPOINT_ENDLESS) {
        config.max_ms = INT_MAX;
        return config;
    }
    if (max_ms == 0 || max_ms >= (size_t)config.max_ms + LIMIT_MARGIN_MS)
        return config;
    config.max_ms = max_ms > 2 * LIMIT_MARGIN_MS ? (int)max_ms - LIMIT_MARGIN_MS : LIMIT_MARGIN_MS;
    config.end_ms = least(config.end_ms, config.max_ms / 2);
    config.tail_ms = least(config.tail_ms, config.end_ms);
    return config;
}

struct endpoint_config endpoint_extend(struct endpoint_config config, size_t tail_ms)
{
    if (tail_ms > (size_t)config.tail_ms)
        config.tail_ms = tail_ms < (size_t)config.end_ms ? (int)tail_ms : config.end_ms;
    return config;
}

static void forget_cut(struct endpoint *e)
{
    e->cut_frame = -1;
    e->cut_probability = INFINITY;
}

void endpoint_init(struct endpoint *e, const struct endpoint_config *config)
{
    *e = (struct endpoint){.config = *config};
    forget_cut(e);
}

static enum endpoint_event open_utterance(struct endpoint *e)
{
    int64_t begin = e->frame - least(e->config.preroll_ms, e->config.max_ms / 2) / FRAME_MS;
    /* Never into the utterance before, nor before the first frame. */
    e->begin_frame = begin > e->end_frame ? begin : e->end_frame;
    e->open = true;
    e->paused = false;
    e->silence_frames = 0;
    forget_cut(e);
    return ENDPOINT_BEGIN;
}

static enum endpoint_event close_utterance(struct endpoint *e, int64_t end_frame)
{
    e->end_frame = end_frame < e->frame ? end_frame : e->frame;
    e->open = false;
    e->held = false;
    e->speech_frames = 0;
    e->silence_frames = 0;
    return ENDPOINT_END;
}

/* Where the last quarter begins. */
static int64_t first_cut(const struct endpoint *e)
{
    return e->begin_frame + (int64_t)e->config.max_ms * 3 / 4 / FRAME_MS;
}

/* Judges the middle of the last frames. Of equal places the later is better. */
static void judge_cut(struct endpoint *e)
{
    int64_t place = e->frame - ENDPOINT_CUT_FRAMES / 2 - e->config.lag_ms / FRAME_MS;
    if (place < first_cut(e))
        return;
    float mean = 0.0f;
    for (int i = 0; i < ENDPOINT_CUT_FRAMES; i++)
        mean += e->recent[i] / (float)ENDPOINT_CUT_FRAMES;
    if (mean > e->cut_probability)
        return;
    e->cut_probability = mean;
    e->cut_frame = place;
}

static enum endpoint_event cut_utterance(struct endpoint *e)
{
    int64_t place = e->cut_frame >= 0 ? e->cut_frame : e->frame;
    int64_t spoken = e->frame - e->silence_frames - e->config.lag_ms / FRAME_MS;
    if (!e->held && e->silence_frames > 0 && spoken <= place)
        return close_utterance(e, place);
    e->end_frame = e->begin_frame = place;
    forget_cut(e);
    return ENDPOINT_CUT;
}

static enum endpoint_event push_closed(struct endpoint *e, float probability)
{
    if (probability >= e->config.begin_threshold)
        e->speech_frames++;
    else if (probability < e->config.end_threshold && e->speech_frames > 0)
        e->speech_frames--;
    bool enough = e->speech_frames > 0 && e->speech_frames * FRAME_MS >= e->config.begin_ms;
    return enough ? open_utterance(e) : ENDPOINT_NONE;
}

enum endpoint_event endpoint_end(struct endpoint *e)
{
    return close_utterance(e, e->frame - e->silence_frames + e->config.tail_ms / FRAME_MS);
}

/* Once in a silence. Not in the last quarter, where what was said may still be held back. */
static bool is_pause(struct endpoint *e, float probability)
{
    if (e->paused || e->config.end_min_ms == 0 || e->frame > first_cut(e) ||
        e->silence_frames * FRAME_MS < e->config.end_min_ms ||
        probability > e->config.end_threshold / (float)CERTAIN_SILENCE)
        return false;
    e->paused = true;
    return true;
}

static enum endpoint_event push_open(struct endpoint *e, float probability)
{
    bool silent = probability < e->config.end_threshold;
    bool resumed = !silent && e->silence_frames >= ENDPOINT_CUT_FRAMES;
    e->silence_frames = silent ? e->silence_frames + 1 : 0;
    e->paused = e->paused && silent;
    judge_cut(e);
    if ((e->frame - e->begin_frame) * FRAME_MS >= e->config.max_ms)
        return cut_utterance(e);
    if (e->held)
        return ENDPOINT_NONE;
    if (resumed && e->cut_probability < e->config.end_threshold)
        return cut_utterance(e);
    if (e->silence_frames == 0)
        return ENDPOINT_NONE;
    if (e->silence_frames * FRAME_MS >= e->config.end_ms)
        return endpoint_end(e);
    return is_pause(e, probability) ? ENDPOINT_PAUSE : ENDPOINT_NONE;
}

enum endpoint_event endpoint_push(struct endpoint *e, float probability)
{
    e->recent[e->frame % ENDPOINT_CUT_FRAMES] = probability;
    e->frame++;
    return e->open ? push_open(e, probability) : push_closed(e, probability);
}

enum endpoint_event endpoint_hold(struct endpoint *e)
{
    e->held = true;
    return e->open ? ENDPOINT_NONE : open_utterance(e);
}

enum endpoint_event endpoint_finish(struct endpoint *e)
{
    return e->open ? close_utterance(e, e->frame) : ENDPOINT_NONE;
}

int64_t endpoint_certain(const struct endpoint *e)
{
    int tail = e->held ? e->silence_frames : least(e->silence_frames, e->config.tail_ms / FRAME_MS);
    int64_t certain = e->frame - e->silence_frames + tail;
    int64_t cut = e->cut_frame >= 0 ? e->cut_frame : first_cut(e);
    return certain < cut ? certain : cut;
}
