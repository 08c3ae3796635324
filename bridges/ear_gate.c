/* While the gate is closed the last packets wait, as many as the detector's lag and what a word may
 * begin with; when it opens they go out at once.
 */
#include "bridges/ear_gate.h"

#include "dsp/logmel.h"
#include "dsp/vad.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    PACKET_FRAMES = EAR_PACKET / LOGMEL_HOP,
    BEFORE = 25 + VAD_DELAY / PACKET_FRAMES, /* packets: 500 ms */
    AFTER = 50 + VAD_DELAY / PACKET_FRAMES, /* 1 s: the daemon ends an utterance after half of it */
    FRAMES_MAX = PACKET_FRAMES + 3,
};

static const float speech = 0.5f;

struct ear_gate {
    struct logmel *mel;
    struct vad *vad;
    int16_t waiting[BEFORE][EAR_PACKET]; /* a ring */
    size_t first, count;
    size_t open; /* packets that it stays open for; 0: it is closed */
};

int ear_gate_create(struct ear_gate **out)
{
    struct ear_gate *g = calloc(1, sizeof *g);
    *out = g;
    if (!g)
        return -ENOMEM;
    if (logmel_create(&g->mel, VAD_BINS) || vad_create(&g->vad)) {
        ear_gate_destroy(g);
        *out = NULL;
        return -ENOMEM;
    }
    return 0;
}

void ear_gate_destroy(struct ear_gate *g)
{
    if (!g)
        return;
    logmel_destroy(g->mel);
    vad_destroy(g->vad);
    free(g);
}

static bool hears_speech(struct ear_gate *g, const int16_t *packet)
{
    float samples[EAR_PACKET], frames[FRAMES_MAX * VAD_BINS], probability[FRAMES_MAX];
    bool found = false;
    for (size_t i = 0; i < EAR_PACKET; i++)
        samples[i] = (float)packet[i] / 32768.0f;
    size_t count = logmel_push(g->mel, samples, EAR_PACKET, frames);
    vad_push(g->vad, frames, count, probability);
    for (size_t i = 0; i < count; i++)
        found = found || probability[i] > speech;
    return found;
}

static void let_out(struct ear_gate *g, ear_gate_function *function, void *user)
{
    for (; g->count > 0; g->count--) {
        function(user, g->waiting[g->first]);
        g->first = (g->first + 1) % BEFORE;
    }
}

static void keep(struct ear_gate *g, const int16_t *packet, ear_gate_function *function, void *user)
{
    if (g->count == BEFORE) {
        g->first = (g->first + 1) % BEFORE;
        g->count--;
        function(user, NULL);
    }
    memcpy(g->waiting[(g->first + g->count++) % BEFORE], packet, sizeof g->waiting[0]);
}

void ear_gate_push(struct ear_gate *g, const int16_t packet[EAR_PACKET],
                   ear_gate_function *function, void *user)
{
    if (hears_speech(g, packet))
        g->open = AFTER;
    if (g->open == 0) {
        keep(g, packet, function, user);
        return;
    }
    g->open--;
    let_out(g, function, user);
    function(user, packet);
}
