/* What is written as Ogg Opus is, decoded by another library, the sound that it was. */
#include "audio/sound.h"
#include "base/opus_writer.h"
#include "tests/support/speech.h"
#include "tests/support/test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char path[] = "/tmp/earshot-opus-XXXXXX";

static int write_file(void *user, const void *data, size_t size)
{
    return fwrite(data, 1, size, user) == size ? 0 : -EIO;
}

/* In pieces of so many samples. */
static void write_speech(const float *samples, size_t count, size_t piece)
{
    struct opus_writer *w;
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(opus_writer_create(&w, write_file, file), 0);
    for (size_t i = 0; i < count; i += piece)
        assert_int_equal(opus_writer_push(w, samples + i, count - i < piece ? count - i : piece),
                         0);
    assert_int_equal(opus_writer_finish(w), 0);
    opus_writer_destroy(w);
    assert_int_equal(fclose(file), 0);
}

/* Decodes the file; free the result. */
static float *read_back(size_t count)
{
    struct sound *s;
    float *samples = calloc(count + 1, sizeof *samples);
    assert_non_null(samples);
    assert_int_equal(sound_open(&s, path, NULL), 0);
    assert_int_equal(sound_rate_hz(s), OPUS_WRITER_RATE_HZ);
    assert_int_equal(sound_channels(s), 1);
    assert_int_equal(sound_read(s, samples, count + 1), count);
    assert_int_equal(sound_read(s, samples + count, 1), 0);
    sound_close(s);
    return samples;
}

static double snr_db(const float *wanted, const float *got, size_t count)
{
    double signal = 0, noise = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)wanted[i] - (double)got[i];
        signal += (double)wanted[i] * (double)wanted[i];
        noise += d * d;
    }
    return 10 * log10(signal / noise);
}

static void speech_comes_back(void **state)
{
    (void)state;
    size_t count;
    float *speech = speech_load(&count);
    static const size_t pieces[] = {7, 1600, 1000000};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        clock_t begin = clock();
        write_speech(speech, count, pieces[i]);
        double ms = (double)(clock() - begin) * 1000 / CLOCKS_PER_SEC;
        float *heard = read_back(count);
        double db = snr_db(speech, heard, count);
        print_message("pieces of %zu: %.1f dB, %.1f ms a second of sound\n", pieces[i], db,
                      ms * OPUS_WRITER_RATE_HZ / (double)count);
        assert_true(db > 8);
        free(heard);
    }
    free(speech);
}

static int refuse(void *user, const void *data, size_t size)
{
    (void)user, (void)data, (void)size;
    return -ENOSPC;
}

static void without_sound_there_is_no_file(void **state)
{
    (void)state;
    struct opus_writer *w;
    assert_int_equal(opus_writer_create(&w, refuse, NULL), 0);
    assert_int_equal(opus_writer_push(w, NULL, 0), 0);
    assert_int_equal(opus_writer_finish(w), -ENODATA);
    opus_writer_destroy(w);
}

static void what_the_sink_says_is_told(void **state)
{
    (void)state;
    struct opus_writer *w;
    static const float silence[OPUS_WRITER_RATE_HZ];
    assert_int_equal(opus_writer_create(&w, refuse, NULL), 0);
    int rc = 0;
    for (int i = 0; i < 10 && !rc; i++)
        rc = opus_writer_push(w, silence, OPUS_WRITER_RATE_HZ);
    assert_int_equal(rc, -ENOSPC);
    assert_int_equal(opus_writer_finish(w), -ENOSPC);
    opus_writer_destroy(w);
}

int main(void)
{
    close(mkstemp(path));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speech_comes_back),
        cmocka_unit_test(without_sound_there_is_no_file),
        cmocka_unit_test(what_the_sink_says_is_told),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
