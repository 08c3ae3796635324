/* earshot type: types what is said into the window that has the focus, by the first way that works
 * (type_ways.h), edited as it is spoken (typing.h). Nothing that was said is printed anywhere. */
#include "base/paths.h"
#include "base/utf8.h"
#include "cli/client_commands.h"
#include "cli/offline.h"
#include "cli/type_ways.h"
#include "cli/typing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct bus_client_option client_type_options[] = {
    {"live", NULL, "type each word as soon as it is certain, and correct it by Backspace"},
    {"anywhere", NULL, "type even if another window has the focus than when the sentence began"},
    {"way", "WAY",
     "x11, wayland, wtype, portal, ibus or ydotool; without this the first that works"},
    {"phrases", "FILE", "what spoken phrases type; default ~/.config/earshot/typing"},
    {"how", NULL, "show the ways, which one is taken, and why others are not"},
    {"print-phrases", NULL, "show the phrases that edit, as a file has them"},
    {NULL},
};

enum {
    OPTION_LIVE,
    OPTION_ANYWHERE,
    OPTION_WAY,
    OPTION_PHRASES,
    OPTION_HOW,
    OPTION_PRINT_PHRASES,
};

enum {
    PATIENCE_MS = 8000, /* for another daemon */
    OPEN_MAX = 8,       /* utterances that began and are not completed */
    DONE_MAX = 64,      /* that "scratch that" can take back */
    PATH_MAX_BYTES = 4096,
};

/* An utterance that began, and the window that had the focus then; 0: none, or not known. */
struct begun {
    dbus_uint64_t id;
    uint64_t window;
};

/* An utterance that was typed. */
struct done {
    size_t characters;
    bool joins, marked; /* no blank behind it; ends with a mark */
};

struct typer {
    const struct type_way *way;
    struct typing *typing;
    bool live, anywhere;
    struct begun open[OPEN_MAX]; /* [open_count], the oldest first */
    size_t open_count;
    /* In the window where something was typed last: */
    uint64_t window;
    struct done done[DONE_MAX]; /* [done_count], before the utterance of now */
    size_t done_count;
    dbus_uint64_t id;              /* of the utterance of now; 0: none */
    char now[TYPING_TEXT_MAX + 1]; /* what of it is typed, */
    unsigned taken_back;           /* and how many it has taken back */
    bool dropped_mark;
    bool refused; /* it was said that it is not typed */
    struct typed typed;
};

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += (*text & 0xc0) != 0x80;
    return count;
}

/* The bytes that both begin with, in whole characters. */
static size_t common_bytes(const char *a, const char *b)
{
    size_t size = 0;
    while (a[size] && a[size] == b[size])
        size++;
    while (size && ((a[size] & 0xc0) == 0x80 || (b[size] & 0xc0) == 0x80))
        size--;
    return size;
}

static uint64_t focused(const struct typer *t)
{
    uint64_t window = 0;
    if (t->way->focus)
        t->way->focus(&window);
    return window;
}

/* The utterance of now is as it will stay. */
static void settle(struct typer *t, bool joins)
{
    size_t size = strlen(t->now);
    if (size && t->done_count == DONE_MAX)
        memmove(t->done, t->done + 1, --t->done_count * sizeof *t->done);
    if (size)
        t->done[t->done_count++] =
            (struct done){count_characters(t->now), joins, typing_ends_with_mark(t->now)};
    t->now[0] = '\0';
    t->id = 0;
}

static void begin(struct typer *t, dbus_uint64_t id)
{
    settle(t, false);
    t->id = id;
    t->taken_back = 0;
    t->dropped_mark = t->refused = false;
}

/* Another window, in which nothing was typed yet. */
static void move_to(struct typer *t, uint64_t window)
{
    if (t->window == window)
        return;
    t->window = window;
    t->done_count = 0;
    t->now[0] = '\0';
}

/* Takes back what the utterance wants of those before it; the characters. */
static size_t take_back(struct typer *t)
{
    size_t characters = 0;
    for (; t->taken_back < t->typed.takes_back; t->taken_back++)
        if (t->done_count)
            characters += t->done[--t->done_count].characters;
    struct done *last = t->done_count ? &t->done[t->done_count - 1] : NULL;
    if (t->typed.drops_mark && !t->dropped_mark && last && last->marked && last->characters) {
        last->characters--;
        last->marked = false;
        characters++;
    }
    t->dropped_mark = t->dropped_mark || t->typed.drops_mark;
    return characters;
}

/* Makes what stands in the window what is to stand there. 0 or an exit code, said. */
static int type(struct typer *t)
{
    static char next[sizeof t->now];
    struct error error;
    const struct typed *typed = &t->typed;
    size_t back = take_back(t);
    bool blank =
        t->done_count && *typed->text && !typed->joins_before && !t->done[t->done_count - 1].joins;
    snprintf(next, sizeof next, "%s%s", blank ? " " : "", typed->text);
    size_t kept = back ? 0 : common_bytes(t->now, next);
    back += count_characters(t->now + kept);
    int rc = back || next[kept] ? t->way->type(back, next + kept, &error) : 0;
    memcpy(t->now, next, sizeof next);
    return rc ? offline_fail("type", &error) : 0;
}

/* Whether the utterance may be typed where the focus is; else says so once. */
static bool may_type(struct typer *t, const struct begun *begun)
{
    uint64_t window = focused(t);
    bool knows = window || begun->window;
    if (t->anywhere || !knows || window == begun->window) {
        move_to(t, window);
        return true;
    }
    if (!t->refused)
        error_print("earshot type: not typed: another window has the focus than when the sentence "
                    "began; earshot history has it");
    t->refused = true;
    return false;
}

/* The text of an utterance that began while this command ran; more of it may come. */
static int take_text(struct typer *t, dbus_uint64_t id, const char *text, bool more)
{
    int rc = 0;
    if (!t->open_count || t->open[0].id != id)
        return 0; /* its turn comes */
    if (t->id != id)
        begin(t, id);
    typing_write(t->typing, text, more, &t->typed);
    bool nothing = !*t->typed.text && !t->typed.takes_back && !*t->now;
    if (!nothing && may_type(t, &t->open[0]))
        rc = type(t);
    return rc;
}

static void forget(struct typer *t, dbus_uint64_t id)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->open_count; i++)
        if (t->open[i].id != id)
            t->open[kept++] = t->open[i];
    t->open_count = kept;
}

static int take_started(struct typer *t, DBusMessage *m)
{
    struct begun begun = {.window = focused(t)};
    DBusMessageIter args;
    dbus_message_iter_init(m, &args);
    dbus_message_iter_get_basic(&args, &begun.id);
    if (t->open_count == OPEN_MAX)
        forget(t, t->open[0].id);
    t->open[t->open_count++] = begun;
    return 0;
}

static int take_updated(struct typer *t, DBusMessage *m)
{
    dbus_uint64_t id;
    dbus_uint32_t seq, stable;
    const char *text;
    char sure[TYPING_TEXT_MAX];
    dbus_message_get_args(m, NULL, DBUS_TYPE_UINT64, &id, DBUS_TYPE_UINT32, &seq, DBUS_TYPE_UINT32,
                          &stable, DBUS_TYPE_STRING, &text, DBUS_TYPE_INVALID);
    size_t size = stable < strlen(text) ? stable : strlen(text);
    snprintf(sure, sizeof sure, "%.*s", (int)size, text);
    return t->live && size ? take_text(t, id, sure, true) : 0;
}

static void take_detail(void *user, const char *name, DBusMessageIter *variant)
{
    double *phrase_bytes = user;
    if (strcmp(name, "phrase_bytes") == 0)
        bus_client_number(variant, phrase_bytes);
}

/* What calls the assistant by its phrase is not for the window. */
static int take_completed(struct typer *t, DBusMessage *m)
{
    dbus_uint64_t id;
    const char *text;
    double phrase_bytes = 0;
    DBusMessageIter args;
    dbus_message_iter_init(m, &args);
    dbus_message_iter_get_basic(&args, &id);
    dbus_message_iter_next(&args);
    dbus_message_iter_get_basic(&args, &text);
    bus_client_details(m, take_detail, &phrase_bytes);
    int rc = take_text(t, id, phrase_bytes > 0 ? "" : text, false);
    if (t->id == id)
        settle(t, t->typed.joins_after);
    forget(t, id);
    return rc;
}

static int take(void *user, DBusMessage *m)
{
    struct typer *t = user;
    bool there;
    if (m && bus_client_is_change(m, &there)) {
        settle(t, false);
        t->open_count = 0;
    } else if (m && bus_client_is_signal(m, "UtteranceStarted") &&
               dbus_message_has_signature(m, "ta{sv}"))
        return take_started(t, m);
    else if (m && bus_client_is_signal(m, "UtteranceUpdated") &&
             dbus_message_has_signature(m, "tuus"))
        return take_updated(t, m);
    else if (m && bus_client_is_signal(m, "UtteranceCompleted") &&
             dbus_message_has_signature(m, "tsa{sv}"))
        return take_completed(t, m);
    return 0;
}

/* The first way that works, or the one of this name. NULL: none does, as why says. */
static const struct type_way *find_way(const char *name, struct error *why)
{
    for (size_t i = 0; type_ways[i]; i++)
        if ((!name || strcmp(name, type_ways[i]->name) == 0) && !type_ways[i]->probe(why))
            return type_ways[i];
    if (!name)
        error_set(why, -ENOTSUP, "no way to type works here; see earshot type --how");
    return NULL;
}

/* Which ways there are, and why not; EXIT_FAILED: none works. */
static int print_ways(const char *name)
{
    struct error why;
    uint64_t window;
    const struct type_way *taken = find_way(name, &why);
    for (size_t i = 0; type_ways[i]; i++) {
        const struct type_way *way = type_ways[i];
        bool works = !way->probe(&why);
        printf("%-8s %s: %s\n", way->name,
               way == taken ? "taken"
               : works      ? "works"
                            : "not",
               works ? way->what : why.message);
        if (works && !(way->focus && way->focus(&window)))
            printf("%-8s it cannot know which window has the focus, and types into any\n", "");
    }
    return taken ? EXIT_DONE : EXIT_FAILED;
}

static bool is_way(const char *name)
{
    for (size_t i = 0; type_ways[i]; i++)
        if (strcmp(name, type_ways[i]->name) == 0)
            return true;
    return false;
}

static int follow(struct bus_client *c, struct typer *t)
{
    struct error error;
    t->way = find_way(c->given[OPTION_WAY], &error);
    if (!t->way || (t->way->begin && t->way->begin(&error)))
        return offline_fail("type", &error);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "earshot type: types what is said, by %s; Ctrl-C ends it\n", t->way->name);
    c->patience_ms = PATIENCE_MS;
    return bus_client_follow(c, -1, take, t);
}

int client_type(struct bus_client *c)
{
    char path[PATH_MAX_BYTES];
    struct error error;
    const char *way = c->given[OPTION_WAY], *phrases = c->given[OPTION_PHRASES];
    struct typer *t = calloc(1, sizeof *t);
    int code = EXIT_DONE;
    if (way && !is_way(way)) {
        error_print("earshot type: --way %s: no such way; see earshot type --how", way);
        free(t);
        return EXIT_USAGE;
    }
    bool kept = paths_user_config("typing", path, sizeof path) == 0;
    int rc = t ? typing_create(&t->typing,
                               phrases ? phrases
                               : kept  ? path
                                       : NULL,
                               &error)
               : error_set(&error, -ENOMEM, "out of memory");
    if (rc) {
        free(t);
        return offline_fail("type", &error);
    }
    t->live = c->given[OPTION_LIVE];
    t->anywhere = c->given[OPTION_ANYWHERE];
    if (c->given[OPTION_PRINT_PHRASES])
        typing_print(t->typing, stdout);
    else
        code = c->given[OPTION_HOW] ? print_ways(way) : follow(c, t);
    typing_destroy(t->typing);
    free(t);
    return code;
}
