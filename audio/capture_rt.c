/* PortAudio's callback: frames into the ring, and a count of those without room. */
#include "audio/capture_rt.h"

static void count(atomic_uint_fast64_t *counter, uint64_t n)
{
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + n, memory_order_relaxed);
}

int capture_rt_callback(const void *input, void *output, unsigned long frames,
                        const PaStreamCallbackTimeInfo *time, PaStreamCallbackFlags flags,
                        void *user)
{
    (void)output;
    (void)time;
    struct capture_rt *rt = user;
    if (flags & paInputOverflow)
        count(&rt->overflows, 1);
    if (!input)
        return paContinue;

    size_t room = (ring_capacity(rt->ring) - ring_available(rt->ring)) / rt->channels;
    size_t fit = frames < room ? frames : room;
    ring_write(rt->ring, input, fit * rt->channels);
    count(&rt->lost, frames - fit);
    count(&rt->frames, frames);
    return paContinue;
}
