/* Closed, a leaky count of speech frames must reach begin_ms: a frame of speech adds one, a frame
 * of silence takes one away, what is between leaves it. Open, silence in a row must reach end_ms.
 *
 *              preroll_ms                        end_ms
 *            |<---------->|                     |<------------->|
 *     -------[····  ######|##########  #########|~~~~~]---------|-----
 *            begin     BEGIN told        last speech  end       END told
 *                                               |<--->| tail_ms
 */
#include "dsp/endpoint.h"

enum {
    FRAME_MS = 10,
    SHORT_PAUSE_MS = 80, /* closes an utterance that has become too long */
};

/* vad.h speaks of 150 ms ago, so of the 500 ms before BEGIN some 240 are speech and 260 come before
 * it, an utterance goes on for 250 ms after its last word, and END is told 650 ms after that word.
 * Measured with tools/vad: an end_ms of 350 would cut another 7 % of the utterances in two.
 */
struct endpoint_config endpoint_config_default(void)
{
    return (struct endpoint_config){
        .begin_threshold = 0.5f,
        .end_threshold = 0.3f,
        .begin_ms = 80,
        .end_ms = 500,
        .preroll_ms = 500,
        .tail_ms = 100,
        .max_ms = 20000,
    };
}

void endpoint_init(struct endpoint *e, const struct endpoint_config *config)
{
    *e = (struct endpoint){.config = *config};
}

static enum endpoint_event open_utterance(struct endpoint *e)
{
    int64_t begin = e->frame - e->config.preroll_ms / FRAME_MS;
    /* Never into the utterance before, nor before the first frame. */
    e->begin_frame = begin > e->end_frame ? begin : e->end_frame;
    e->open = true;
    e->silence_frames = 0;
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

static enum endpoint_event push_closed(struct endpoint *e, float probability)
{
    if (probability >= e->config.begin_threshold)
        e->speech_frames++;
    else if (probability < e->config.end_threshold && e->speech_frames > 0)
        e->speech_frames--;
    bool enough = e->speech_frames > 0 && e->speech_frames * FRAME_MS >= e->config.begin_ms;
    return enough ? open_utterance(e) : ENDPOINT_NONE;
}

static enum endpoint_event push_open(struct endpoint *e, float probability)
{
    if (probability < e->config.end_threshold)
        e->silence_frames++;
    else
        e->silence_frames = 0;
    int64_t length_ms = (e->frame - e->begin_frame) * FRAME_MS;
    if (length_ms >= e->config.max_ms)
        return close_utterance(e, e->frame);
    if (e->held)
        return ENDPOINT_NONE;
    int pause_ms = e->config.end_ms;
    if (length_ms >= (int64_t)e->config.max_ms * 3 / 4 && pause_ms > SHORT_PAUSE_MS)
        pause_ms = SHORT_PAUSE_MS;
    if (e->silence_frames == 0 || e->silence_frames * FRAME_MS < pause_ms)
        return ENDPOINT_NONE;
    return close_utterance(e, e->frame - e->silence_frames + e->config.tail_ms / FRAME_MS);
}

enum endpoint_event endpoint_push(struct endpoint *e, float probability)
{
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
