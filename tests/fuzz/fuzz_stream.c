/* Packets of a client's stream: the first three bytes say codec, rate and channels, then come the
 * packets, each behind its size in two bytes. What the decoder gives lies in its own memory. */
#include "daemon/stream_decoder.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum {
    FORMAT_BYTES = 3,
    SIZE_BYTES = 2,
    PACKETS_MAX = 200,
};

static volatile float sink;

static struct stream_format format_of(const uint8_t *data)
{
    static const uint32_t rates_hz[] = {0, 4000, 16000, 44100, 48000, 384000};
    return (struct stream_format){
        .codec = (enum stream_codec)(data[0] % (STREAM_OPUS + 1)),
        .rate_hz = rates_hz[data[1] % (sizeof rates_hz / sizeof *rates_hz)],
        .channels = data[2] % 10,
    };
}

static void push(struct stream_decoder *d, const uint8_t *packet, size_t size)
{
    struct stream_audio audio;
    stream_decoder_push(d, packet, size, &audio);
    if (audio.concealed > audio.frames)
        abort();
    for (size_t i = 0; i < audio.frames * (size_t)stream_decoder_channels(d); i++)
        sink = audio.samples[i];
}

/* A copy of just the packet's size, so that a read past its end is seen. */
static size_t push_next(struct stream_decoder *d, const uint8_t *data, size_t size)
{
    size_t length = (size_t)data[0] | (size_t)data[1] << 8;
    if (length > size - SIZE_BYTES)
        length = size - SIZE_BYTES;
    uint8_t *packet = malloc(length + !length);
    if (!packet)
        return size;
    memcpy(packet, data + SIZE_BYTES, length);
    push(d, packet, length);
    free(packet);
    return SIZE_BYTES + length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < FORMAT_BYTES)
        return 0;
    struct stream_format f = format_of(data);
    struct stream_decoder *d;
    struct error error;
    if (stream_format_check(&f, &error) || stream_decoder_create(&d, &f))
        return 0;
    size_t at = FORMAT_BYTES;
    for (int i = 0; i < PACKETS_MAX && size - at >= SIZE_BYTES; i++)
        at += push_next(d, data + at, size - at);
    stream_decoder_destroy(d);
    return 0;
}
