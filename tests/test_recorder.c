/* The recorder with its thread: what became text is kept, and nothing else; also what the thread
 * sanitizer looks at. */
#include "audio/sound.h"
#include "base/log.h"
#include "daemon/recorder.h"
#include "tests/support/speech.h"
#include "tests/support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define ID 1795233012345678u

enum {
    PIECE = 1600,
    SHORT_PIECE = 160, /* as a front end hands them on */
};

struct log {
    int in, saved; /* the pipe's end, stderr */
    size_t size;
    char text[4096]; /* [size], and a NUL */
};

static char directory[64] = "/tmp/earshot-recorder-XXXXXX";
static float *speech; /* [speech_count] */
static size_t speech_count;
static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER; /* who holds it keeps it from syncing */
static atomic_int syncs;

/* In the place of the library's: a disk that stands still, and is fast otherwise. */
int fsync(int fd)
{
    (void)fd;
    atomic_fetch_add(&syncs, 1);
    pthread_mutex_lock(&disk);
    pthread_mutex_unlock(&disk);
    return 0;
}

static struct recorder_config config_for(const char *where)
{
    struct recorder_config c = {.keep = true, .max_mb = 1, .max_days = 36500};
    snprintf(c.directory, sizeof c.directory, "%s", where);
    return c;
}

static struct recorder *start(const struct recorder_config *c)
{
    struct recorder *r;
    assert_int_equal(recorder_create(&r, NULL), 0);
    recorder_configure(r, c);
    return r;
}

static void say(struct recorder *r, uint64_t id, size_t piece, const char *text, const char *reply)
{
    recorder_begin(r, id);
    for (size_t i = 0; i + piece <= speech_count; i += piece)
        recorder_push(r, speech + i, piece);
    if (text)
        recorder_text(r, text);
    if (reply)
        recorder_reply(r, reply);
    recorder_end(r);
}

/* The recordings that are there; the name of one of them, without its suffix, into name. */
static size_t count_recordings(char name[256])
{
    size_t sounds = 0, texts = 0;
    DIR *d = opendir(directory);
    if (!d)
        return 0;
    for (const struct dirent *e; (e = readdir(d));) {
        const char *dot = strrchr(e->d_name, '.');
        sounds += strcmp(dot, ".opus") == 0;
        texts += strcmp(dot, ".json") == 0;
        if (strcmp(dot, ".json") == 0)
            snprintf(name, 256, "%.*s", (int)(dot - e->d_name), e->d_name);
    }
    closedir(d);
    assert_true(sounds >= texts); /* the text is written last */
    return texts;
}

static int empty(void **state)
{
    (void)state;
    DIR *d = opendir(directory);
    for (const struct dirent *e; d && (e = readdir(d));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%.255s", directory, e->d_name);
        if (e->d_name[0] != '.')
            unlink(path);
    }
    if (d)
        closedir(d);
    return 0;
}

/* The sound's length. */
static size_t samples_of(const char *name)
{
    char path[512];
    struct sound *s;
    snprintf(path, sizeof path, "%s/%s.opus", directory, name);
    assert_int_equal(sound_open(&s, path, NULL), 0);
    float *samples = calloc(speech_count + 1, sizeof *samples);
    long count = sound_read(s, samples, speech_count + 1);
    assert_true(count > 0);
    assert_int_equal(sound_read(s, samples, 1), 0);
    free(samples);
    sound_close(s);
    return (size_t)count;
}

static void what_became_text_is_kept(void **state)
{
    (void)state;
    static const size_t pieces[] = {PIECE, SHORT_PIECE, 7};
    struct recorder_config c = config_for(directory);
    char name[256];
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct recorder *r = start(&c);
        say(r, ID, pieces[i], "one", NULL);
        recorder_destroy(r);
        assert_int_equal(count_recordings(name), 1);
        assert_int_equal(samples_of(name), speech_count / pieces[i] * pieces[i]);
    }
}

/* Twenty seconds of sound wait for a disk that stands still. */
static void a_slow_disk_costs_no_recording(void **state)
{
    (void)state;
    struct recorder_config c = config_for(directory);
    char name[256];
    struct recorder *r = start(&c);
    int before = atomic_load(&syncs);
    pthread_mutex_lock(&disk);
    say(r, ID, PIECE, "one", NULL);
    while (atomic_load(&syncs) == before)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    say(r, ID + 1, SHORT_PIECE, "two", NULL);
    say(r, ID + 2, SHORT_PIECE, "three", NULL);
    pthread_mutex_unlock(&disk);
    recorder_destroy(r);
    assert_int_equal(count_recordings(name), 3);
}

static void nothing_else_is(void **state)
{
    (void)state;
    struct recorder_config c = config_for(directory);
    char name[256];
    struct recorder *r = start(&c);
    say(r, ID, PIECE, NULL, NULL); /* no words */
    recorder_begin(r, ID + 1);
    recorder_push(r, speech, PIECE);
    recorder_begin(r, ID + 2); /* the one before was dropped */
    recorder_push(r, speech, PIECE);
    recorder_end(r);
    recorder_push(r, speech, PIECE); /* of none */
    recorder_text(r, "late");
    recorder_end(r);
    c.keep = false;
    recorder_configure(r, &c);
    say(r, ID + 3, PIECE, "four", "yes");
    recorder_destroy(r);
    assert_int_equal(count_recordings(name), 0);
    recorder_configure(NULL, &c);
    say(NULL, ID, PIECE, "one", "yes");
}

static void it_is_switched_on_and_off(void **state)
{
    (void)state;
    struct recorder_config c = config_for(directory);
    char name[256];
    c.keep = false;
    struct recorder *r = start(&c);
    say(r, ID, PIECE, "one", NULL);
    recorder_begin(r, ID + 1);
    c.keep = true;
    recorder_configure(r, &c);
    recorder_push(r, speech, PIECE);
    recorder_text(r, "half of it");
    recorder_end(r);
    say(r, ID + 2, PIECE, "three", NULL);
    recorder_destroy(r);
    assert_int_equal(count_recordings(name), 1);
    assert_non_null(strstr(name, "1795233012345680"));
}

/* What is logged meanwhile comes through a pipe. */
static void begin_log(struct log *l)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    l->in = ends[0];
    l->size = 0;
    l->saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    log_set_level(LOG_LEVEL_INFO);
}

static void read_log(struct log *l)
{
    ssize_t n = read(l->in, l->text + l->size, sizeof l->text - 1 - l->size);
    assert_true(n >= 0);
    l->size += (size_t)n;
    l->text[l->size] = '\0';
}

static void wait_for_log(struct log *l, const char *words)
{
    do {
        struct pollfd p = {l->in, POLLIN, 0};
        assert_int_equal(poll(&p, 1, 60000), 1);
        read_log(l);
    } while (!strstr(l->text, words));
}

static void end_log(struct log *l)
{
    dup2(l->saved, STDERR_FILENO);
    close(l->saved);
    read_log(l);
    close(l->in);
    log_set_level(LOG_LEVEL_ERROR);
}

static size_t count_words(const char *text, const char *words)
{
    size_t count = 0;
    for (const char *p = text; (p = strstr(p, words)); p += strlen(words))
        count++;
    return count;
}

static void a_full_disk_is_told_of_once(void **state)
{
    (void)state;
    struct recorder_config c = config_for(directory);
    struct rlimit before, small;
    struct log log;
    char name[256];
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){100, before.rlim_max};
    begin_log(&log);
    struct recorder *r = start(&c);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    say(r, ID, PIECE, "one", NULL);
    wait_for_log(&log, "nothing is recorded");
    say(r, ID + 1, PIECE, "two", NULL);
    recorder_configure(r, &c); /* told of again where somebody asks again */
    say(r, ID + 2, PIECE, "three", NULL);
    wait_for_log(&log, "45680");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    say(r, ID + 3, PIECE, "four", NULL);
    recorder_destroy(r);
    end_log(&log);
    assert_int_equal(count_recordings(name), 1);
    assert_int_equal(count_words(log.text, "nothing is recorded"), 2);
    assert_int_equal(count_words(log.text, "it is recorded again"), 1);
    assert_int_equal(count_words(log.text, "\n"), 3);
}

/* A directory that cannot be made, for a while. */
static void a_broken_directory_is_tried_again(void **state)
{
    (void)state;
    char name[256], path[512];
    struct log log;
    snprintf(path, sizeof path, "%s/below", directory);
    struct recorder_config c = config_for(path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    begin_log(&log);
    struct recorder *r = start(&c);
    wait_for_log(&log, path);
    assert_int_equal(unlink(path), 0);
    say(r, ID, PIECE, "one", NULL);
    recorder_destroy(r);
    end_log(&log);
    strcat(directory, "/below");
    assert_int_equal(count_recordings(name), 1);
    empty(NULL);
    *strrchr(directory, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
}

static size_t allocated(void)
{
    return mallinfo2().uordblks;
}

static void a_hundred_utterances_leave_nothing_in_memory(void **state)
{
    (void)state;
    struct recorder_config c = config_for(directory);
    struct recorder *r = start(&c);
    char name[256] = "";
    size_t first = 0;
    for (uint64_t i = 0; i < 110; i++) {
        recorder_begin(r, ID + i * 1000000);
        for (size_t k = 0; k < 10; k++)
            recorder_push(r, speech + k * PIECE, PIECE);
        recorder_text(r, "words");
        recorder_end(r);
        while (i % 10 == 9 && count_recordings(name) <= i) /* as fast as the disk */
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        if (i == 9)
            first = allocated();
    }
    size_t last = allocated();
    recorder_destroy(r);
    print_message("%zu bytes after 10, %zu after 110\n", first, last);
    assert_true(last < first + 4096);
    assert_int_equal(count_recordings(name), 110);
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    setenv("TZ", "UTC", 1);
    log_set_level(LOG_LEVEL_ERROR);
    if (!mkdtemp(directory))
        return 1;
    speech = speech_load(&speech_count);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_became_text_is_kept, empty),
        cmocka_unit_test_teardown(a_slow_disk_costs_no_recording, empty),
        cmocka_unit_test_teardown(nothing_else_is, empty),
        cmocka_unit_test_teardown(it_is_switched_on_and_off, empty),
        cmocka_unit_test_teardown(a_full_disk_is_told_of_once, empty),
        cmocka_unit_test_teardown(a_broken_directory_is_tried_again, empty),
        cmocka_unit_test_teardown(a_hundred_utterances_leave_nothing_in_memory, empty),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(speech);
    rmdir(directory);
    return failed;
}
