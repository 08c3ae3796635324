/* Which decoder reads which file: told by the first bytes, never by the name. */
#include "audio/sound.h"

#include "audio/decoder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sound {
    struct input *input;
    struct decoder *decoder;
    bool changed; /* the format, behind what was read last */
};

typedef int create_decoder(struct decoder **out, struct input *in, struct error *error);

enum { MAGIC_BYTES = 12 };

static bool begins(const unsigned char *p, const char *magic)
{
    return memcmp(p, magic, strlen(magic)) == 0;
}

static bool is_mp3(const unsigned char *p)
{
    return p[0] == 0xff && (p[1] & 0xe0) == 0xe0 && (p[1] & 0x06) != 0 && (p[1] & 0x18) != 0x08 &&
           p[2] < 0xf0 && (p[2] & 0x0c) != 0x0c;
}

/* NULL: none that is ours. An ID3 tag may be before MP3 and FLAC; mpg123 and libFLAC know it. */
static create_decoder *find_decoder(struct input *in)
{
    unsigned char p[MAGIC_BYTES] = {0};
    if (input_peek(in, p, sizeof p) <= 0)
        return NULL;
    if (begins(p, "ID3")) {
        uint64_t tag = 10u + ((uint64_t)(p[6] & 127) << 21 | (p[7] & 127) << 14 |
                              (p[8] & 127) << 7 | (p[9] & 127));
        bool flac = input_skip(in, tag) == 0 && input_peek(in, p, 4) == 4 && begins(p, "fLaC");
        input_rewind(in);
        return flac ? flac_create : mp3_create;
    }
    if (begins(p, "fLaC"))
        return flac_create;
    if (begins(p, "OggS"))
        return ogg_create;
    if (begins(p, "RIF") || begins(p, "RF64") || begins(p, "BW64") || begins(p, "FORM") ||
        begins(p, ".snd"))
        return pcm_create;
    return is_mp3(p) ? mp3_create : NULL;
}

/* What others read, where `rc` says that ours do not. Of what looks like MP3 libsndfile knows no
 * more than mpg123, and tells it to stderr. */
static int open_other(struct sound *s, bool mp3, int rc, struct error *what)
{
    struct error other;
    if (rc == -ENOTSUP && !mp3)
        rc = sndfile_create(&s->decoder, s->input, what);
    else if (rc != -ENOTSUP)
        return rc;
    if (!rc || input_was_stopped(s->input))
        return rc;
    int last = ffmpeg_create(&s->decoder, s->input, &other);
    if (last && last != -ENOENT)
        *what = other;
    return last == -ENOENT ? -ENOTSUP : last;
}

/* The message has no path. */
static int open_decoder(struct sound *s, struct error *what)
{
    unsigned char first;
    ssize_t there = input_peek(s->input, &first, 1);
    if (there <= 0)
        return error_set(what, there ? (int)there : -EINVAL, "%s",
                         there ? strerror((int)-there) : "it is empty");
    create_decoder *create = find_decoder(s->input);
    int rc = create ? create(&s->decoder, s->input, what) : -ENOTSUP;
    if (rc == -ENOTSUP)
        input_rewind(s->input);
    rc = open_other(s, create == mp3_create, rc, what);
    if (rc)
        return rc;
    input_commit(s->input);
    int rate_hz = s->decoder->rate_hz, channels = s->decoder->channels;
    if (rate_hz > 0 && channels > 0 && channels <= DECODER_CHANNELS_MAX)
        return 0;
    return error_set(what, -EINVAL, "%d Hz with %d channels", rate_hz, channels);
}

/* Says what to do about a file that nobody reads. */
static int fail(const char *path, int rc, const struct error *what, struct error *error)
{
    bool standard = strcmp(path, "-") == 0;
    if (rc == -EISDIR || rc == -ENODATA)
        return error_set(error, rc, "%s: %s", path, what->message);
    if (rc == -ENOTSUP)
        return error_set(
            error, -EINVAL,
            "%s: no format that Earshot reads (WAV, AIFF, AU, FLAC, MP3, Ogg); install "
            "ffmpeg, or convert it elsewhere: ffmpeg -i %s out.wav",
            path, standard ? "FILE" : path);
    return error_set(error, rc, "%s: %s", path, what->message);
}

int sound_open_until(struct sound **out, const char *path, int stop_fd, struct error *error)
{
    struct error what = {""};
    struct sound *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    int rc = input_open(&s->input, path, stop_fd, error);
    if (!rc) {
        rc = open_decoder(s, &what);
        if (rc)
            rc = fail(path, rc, &what, error);
    }
    if (rc)
        sound_close(s);
    else
        *out = s;
    return rc;
}

int sound_open(struct sound **out, const char *path, struct error *error)
{
    return sound_open_until(out, path, -1, error);
}

void sound_close(struct sound *s)
{
    if (!s)
        return;
    if (s->decoder)
        s->decoder->ops->destroy(s->decoder);
    input_close(s->input);
    free(s);
}

int sound_rate_hz(const struct sound *s)
{
    return s->decoder->rate_hz;
}

int sound_channels(const struct sound *s)
{
    return s->decoder->channels;
}

bool sound_is_live(const struct sound *s)
{
    return input_is_live(s->input);
}

int64_t sound_read(struct sound *s, float *samples, size_t frames)
{
    struct decoder *d = s->decoder;
    size_t got = 0;
    int64_t n = 0;
    if (s->changed) {
        s->changed = false;
        return -EAGAIN;
    }
    while (got < frames && (got == 0 || !sound_is_live(s))) {
        n = d->ops->read(d, samples + got * (size_t)d->channels, frames - got);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    s->changed = got && n == -EAGAIN;
    if (got)
        return (int64_t)got;
    return n == 0 && *d->why.message ? -EIO : n;
}

const char *sound_why(const struct sound *s)
{
    return s->decoder->why.message;
}
