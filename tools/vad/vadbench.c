/* What the detector and the endpointer, with their defaults, find in a marked recording.
 *
 *     vadbench AUDIO MARKS.tsv [GAIN_DB [MODEL [END_MIN_MS [END_MS]]]]
 *
 * With a model the utterances are those that the recogniser tells of with its defaults, and the
 * words that it makes of them are counted; and, set by set, how many were cut in two, and how long
 * after their last sound their end was known. END_MIN_MS and END_MS: [speech] of the configuration.
 *
 * MARKS.tsv: begin, end (seconds), label and perhaps set of each stretch; "speech" is what is to be
 * found, any other label is what may set off a false alarm (tools/vad/mix.py makes both). An
 * utterance is found when the endpointer's utterances cover half of it; an utterance of the
 * endpointer is false when it touches no speech. Errors of begin and end are over utterances found
 * in one piece, positive when late; the endpointer's pre-roll and tail are part of them.
 */
#include "audio/sound.h"
#include "dsp/endpoint.h"
#include "dsp/logmel.h"
#include "dsp/vad.h"
#include "pipeline/ending.h"
#include "pipeline/session.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RATE_HZ = 16000,
    BLOCK = 160, /* so that it is known to 10 ms when something was told */
    LABEL_MAX = 32,
    LABELS_MAX = 64,
};

struct span {
    double begin, end; /* seconds */
    char label[LABEL_MAX];
    char set[LABEL_MAX]; /* of a mark; may be empty */
    double told;         /* seconds; when the end of what was found was known */
};

struct spans {
    struct span *items; /* [count], owned */
    size_t count;
    size_t room;
};

struct bench {
    struct logmel *logmel;
    struct vad *vad;
    struct endpoint endpoint;
    int64_t begin_frame; /* of the open utterance */
    float gain;
    double seconds; /* of audio */
    double cpu_s;   /* spent on it */
    struct spans found;
    struct session *session; /* with a model, instead of the three above */
    uint64_t next_id;
    size_t words;
};

struct errors {
    float *begin_ms; /* [count], owned */
    float *end_ms;   /* [count], owned */
    size_t count;
};

static int spans_add(struct spans *s, double begin, double end, const char *label)
{
    if (s->count == s->room) {
        size_t room = s->room * 2 + 64;
        struct span *items = realloc(s->items, room * sizeof(*items));
        if (items == NULL)
            return -1;
        s->items = items;
        s->room = room;
    }
    struct span *span = &s->items[s->count++];
    *span = (struct span){.begin = begin, .end = end, .told = end};
    snprintf(span->label, sizeof(span->label), "%s", label);
    return 0;
}

static int read_marks(struct spans *marks, const char *path)
{
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return -1;
    char line[256];
    int result = 0;
    while (result == 0 && fgets(line, sizeof(line), f)) {
        struct span s = {0};
        if (sscanf(line, "%lf %lf %31s %31s", &s.begin, &s.end, s.label, s.set) < 3)
            break;
        result = spans_add(marks, s.begin, s.end, s.label);
        if (result == 0)
            strcpy(marks->items[marks->count - 1].set, s.set);
    }
    fclose(f);
    return result;
}

static void take_event(struct bench *b, enum endpoint_event event)
{
    const struct endpoint *e = &b->endpoint;
    if (event == ENDPOINT_END || event == ENDPOINT_CUT)
        spans_add(&b->found, 0.01 * (double)b->begin_frame, 0.01 * (double)e->end_frame, "found");
    if (event == ENDPOINT_BEGIN || event == ENDPOINT_CUT)
        b->begin_frame = e->begin_frame;
}

static void on_event(void *user, const struct event *e)
{
    struct bench *b = user;
    if (e->type != EVENT_UTTERANCE_COMPLETED)
        return;
    if (spans_add(&b->found, (double)e->start_us * 1e-6, (double)e->end_us * 1e-6, "found") == 0)
        b->found.items[b->found.count - 1].told = (double)session_time_us(b->session) * 1e-6;
    for (const char *p = e->text; *p; p++)
        b->words += p == e->text || p[-1] == ' ';
    if (e->size > 0 && getenv("VADBENCH_VERBOSE") != NULL)
        printf("  text %.2f - %.2f: %s\n", (double)e->start_us * 1e-6, (double)e->end_us * 1e-6,
               e->text);
}

static void detect(struct bench *b, const float *samples, size_t count)
{
    float frames[(BLOCK / LOGMEL_HOP + 2) * VAD_BINS];
    float probability[BLOCK / LOGMEL_HOP + 2];
    size_t n = logmel_push(b->logmel, samples, count, frames);
    vad_push(b->vad, frames, n, probability);
    for (size_t t = 0; t < n; t++)
        take_event(b, endpoint_push(&b->endpoint, probability[t]));
}

static void hear(struct bench *b, float *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        samples[i] *= b->gain;
    clock_t begun = clock();
    if (b->session)
        session_push(b->session, samples, count);
    else
        detect(b, samples, count);
    b->cpu_s += (double)(clock() - begun) / CLOCKS_PER_SEC;
    b->seconds += (double)count / RATE_HZ;
}

static int hear_file(struct bench *b, const char *path)
{
    struct sound *sound;
    struct error error;
    float samples[BLOCK];
    int64_t got;
    if (sound_open(&sound, path, &error) != 0) {
        fprintf(stderr, "%s\n", error.message);
        return -1;
    }
    bool fits = sound_rate_hz(sound) == RATE_HZ && sound_channels(sound) == 1;
    while (fits && (got = sound_read(sound, samples, BLOCK)) > 0)
        hear(b, samples, (size_t)got);
    sound_close(sound);
    if (b->session)
        session_flush(b->session);
    take_event(b, endpoint_finish(&b->endpoint));
    if (!fits)
        fprintf(stderr, "%s: want 16 kHz mono\n", path);
    return fits ? 0 : -1;
}

static double overlap(const struct span *a, const struct span *b)
{
    return fmax(0.0, fmin(a->end, b->end) - fmax(a->begin, b->begin));
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x > y) - (x < y);
}

static float percentile(const float *sorted, size_t count, double p)
{
    return count == 0 ? 0.0f : sorted[(size_t)(p * (double)(count - 1))];
}

static void print_errors(const char *what, float *ms, size_t count)
{
    qsort(ms, count, sizeof(*ms), compare);
    printf("  %s error, ms: median %.0f, 5 %% %.0f, 95 %% %.0f\n", what, percentile(ms, count, 0.5),
           percentile(ms, count, 0.05), percentile(ms, count, 0.95));
}

/* What of a speech mark the endpointer's utterances cover, and the one that covers most. */
static double coverage(const struct bench *b, const struct span *mark, const struct span **best)
{
    double covered = 0.0;
    double most = 0.0;
    for (size_t i = 0; i < b->found.count; i++) {
        double part = overlap(mark, &b->found.items[i]);
        covered += part;
        if (part > most) {
            most = part;
            *best = &b->found.items[i];
        }
    }
    return covered / (mark->end - mark->begin);
}

static void report_speech(const struct bench *b, const struct spans *marks, struct errors *errors)
{
    size_t speech = 0;
    size_t hits = 0;
    for (size_t i = 0; i < marks->count; i++) {
        const struct span *mark = &marks->items[i];
        const struct span *best = NULL;
        if (strcmp(mark->label, "speech") != 0)
            continue;
        speech++;
        if (coverage(b, mark, &best) < 0.5) {
            if (getenv("VADBENCH_VERBOSE") != NULL)
                printf("  missed %.2f - %.2f\n", mark->begin, mark->end);
            continue;
        }
        hits++;
        if (overlap(mark, best) < 0.9 * (mark->end - mark->begin))
            continue;
        errors->begin_ms[errors->count] = (float)(1000.0 * (best->begin - mark->begin));
        errors->end_ms[errors->count++] = (float)(1000.0 * (best->end - mark->end));
    }
    if (speech == 0)
        return;
    printf("  found %zu of %zu (%.2f %%), %zu of them whole in one piece\n", hits, speech,
           100.0 * (double)hits / (double)speech, errors->count);
    print_errors("begin", errors->begin_ms, errors->count);
    print_errors("end", errors->end_ms, errors->count);
}

enum {
    PIECE_MS = 100, /* what an utterance has of a mark, at least, to count as a piece of it */
};

/* How a set was cut. waits: room for one a mark. */
static void report_set(const struct bench *b, const struct spans *marks, const char *set,
                       float *waits)
{
    size_t speech = 0, in_two = 0, count = 0, quick = 0;
    for (size_t i = 0; i < marks->count; i++) {
        const struct span *mark = &marks->items[i];
        const struct span *last = NULL;
        size_t pieces = 0;
        if (strcmp(mark->label, "speech") != 0 || strcmp(mark->set, set) != 0)
            continue;
        speech++;
        for (size_t j = 0; j < b->found.count; j++)
            if (overlap(mark, &b->found.items[j]) * 1000.0 > PIECE_MS) {
                last = &b->found.items[j];
                pieces++;
            }
        in_two += pieces > 1;
        if (last == NULL || last->end < mark->end)
            continue;
        waits[count] = (float)(1000.0 * (last->told - mark->end));
        quick += waits[count++] <= 500.0f;
    }
    qsort(waits, count, sizeof(*waits), compare);
    printf(
        "  %-24s %4zu utterances, %3zu cut in two; end known after, ms: median %.0f, 95 %% %.0f; "
        "within 500: %.0f %%\n",
        set, speech, in_two, percentile(waits, count, 0.5), percentile(waits, count, 0.95),
        count ? 100.0 * (double)quick / (double)count : 0.0);
}

static void report_sets(const struct bench *b, const struct spans *marks, float *waits)
{
    for (size_t i = 0; i < marks->count; i++) {
        const char *set = marks->items[i].set;
        size_t first = 0;
        while (strcmp(marks->items[first].set, set) != 0)
            first++;
        if (*set && first == i)
            report_set(b, marks, set, waits);
    }
}

/* The label a false alarm overlaps most. */
static const char *blame(const struct spans *marks, const struct span *alarm)
{
    const char *label = "unmarked";
    double most = 0.0;
    for (size_t i = 0; i < marks->count; i++) {
        double part = overlap(&marks->items[i], alarm);
        if (part <= most)
            continue;
        most = part;
        label = marks->items[i].label;
    }
    return label;
}

static bool touches_speech(const struct spans *marks, const struct span *alarm)
{
    for (size_t i = 0; i < marks->count; i++) {
        const struct span *mark = &marks->items[i];
        bool voice = strcmp(mark->label, "speech") == 0 || strcmp(mark->label, "fragment") == 0;
        if (voice && overlap(mark, alarm) > 0.0)
            return true;
    }
    return false;
}

static void report_false(const struct bench *b, const struct spans *marks)
{
    const char *labels[LABELS_MAX];
    size_t counts[LABELS_MAX] = {0};
    size_t kinds = 0;
    size_t total = 0;
    for (size_t i = 0; i < b->found.count; i++) {
        const struct span *alarm = &b->found.items[i];
        if (touches_speech(marks, alarm))
            continue;
        const char *label = blame(marks, alarm);
        size_t k = 0;
        while (k < kinds && strcmp(labels[k], label) != 0)
            k++;
        if (k == kinds && kinds < LABELS_MAX)
            labels[kinds++] = label;
        counts[k]++;
        total++;
        if (getenv("VADBENCH_VERBOSE") != NULL)
            printf("  false %.2f - %.2f %s\n", alarm->begin, alarm->end, label);
    }
    printf("  false: %zu, %.1f an hour:", total, (double)total * 3600.0 / b->seconds);
    for (size_t k = 0; k < kinds; k++)
        printf(" %s %zu", labels[k], counts[k]);
    printf("\n");
    if (b->session)
        printf("  words: %zu\n", b->words);
}

static int run(struct bench *b, const char *audio, const char *marks_path)
{
    struct spans marks = {0};
    struct errors errors = {0};
    int result = read_marks(&marks, marks_path);
    if (result == 0)
        result = hear_file(b, audio);
    errors.begin_ms = calloc(marks.count + 1, sizeof(float));
    errors.end_ms = calloc(marks.count + 1, sizeof(float));
    if (result == 0 && errors.begin_ms != NULL && errors.end_ms != NULL) {
        printf("%s: %.2f h, %.1f us a frame (%.3f %% of a core)\n", audio, b->seconds / 3600.0,
               1e6 * b->cpu_s / (b->seconds * 100.0), 100.0 * b->cpu_s / b->seconds);
        report_speech(b, &marks, &errors);
        if (b->session)
            report_sets(b, &marks, errors.begin_ms);
        report_false(b, &marks);
    }
    free(errors.begin_ms);
    free(errors.end_ms);
    free(marks.items);
    return result;
}

static int run_with_model(struct bench *b, int argc, char **argv)
{
    struct endpoint_config endpoint = endpoint_config_default();
    if (argc > 5)
        endpoint.end_min_ms = atoi(argv[5]);
    if (argc > 6)
        endpoint.end_ms = atoi(argv[6]);
    struct recogniser_config text = recogniser_config_default();
    text.partial_ms = 0;
    text.sink = on_event;
    text.user = b;
    struct backend *be = NULL;
    struct model *m = NULL;
    struct hearing *h = NULL;
    struct error error = {.message = "out of memory"};
    int result = backend_cpu_create(&be, 1);
    if (result == 0)
        result = model_load(&m, argv[4], be, NULL, NULL, &error);
    if (result == 0)
        result = hearing_create(&h, m, &error);
    if (result == 0)
        result = session_create(&b->session, h, &text, &error);
    if (result == 0)
        result = session_begin(b->session, &endpoint, &error);
    if (result == 0)
        result = run(b, argv[1], argv[2]);
    else
        fprintf(stderr, "%s\n", error.message);
    session_destroy(b->session);
    hearing_destroy(h);
    model_destroy(m);
    if (be)
        be->ops->destroy(be);
    free(b->found.items);
    return result == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 7) {
        fprintf(stderr,
                "usage: vadbench AUDIO MARKS.tsv [GAIN_DB [MODEL [END_MIN_MS [END_MS]]]]\n");
        return 2;
    }
    struct bench b = {.gain = argc > 3 ? powf(10.0f, strtof(argv[3], NULL) / 20.0f) : 1.0f};
    if (argc >= 5)
        return run_with_model(&b, argc, argv);
    struct endpoint_config config = endpoint_config_default();
    endpoint_init(&b.endpoint, &config);
    int result = 1;
    if (logmel_create(&b.logmel, VAD_BINS) == 0 && vad_create(&b.vad) == 0)
        result = run(&b, argv[1], argv[2]) == 0 ? 0 : 1;
    free(b.found.items);
    vad_destroy(b.vad);
    logmel_destroy(b.logmel);
    return result;
}
