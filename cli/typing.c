/* The table of spoken editing, and what it makes of an utterance. */
#include "cli/typing.h"

#include "base/lines.h"
#include "base/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    PHRASE_WORDS_MAX = 8,
    SAID_MAX = 8192,
    ITEMS_MAX = SAID_MAX / 2,
};

#define ARROW "->"

struct phrase {
    char *words[PHRASE_WORDS_MAX]; /* owned, in lower case */
    size_t count;
    char *typed;  /* owned: the text */
    char *source; /* owned: what stands behind the arrow */
    int line;     /* of the file; 0: built in */
    bool joins_before, joins_after, capital, scratch, off;
};

struct typing {
    struct phrase *phrases; /* [count], owned */
    size_t count;
};

static const char *const built_in[] = {
    "new line -> {join}{newline}{join}{capital}",
    "new paragraph -> {join}{newline}{newline}{join}{capital}",
    "comma -> {join},",
    "full stop -> {join}.{capital}",
    "question mark -> {join}?{capital}",
    "exclamation mark -> {join}!{capital}",
    "colon -> {join}:",
    "semicolon -> {join};",
    "hyphen -> {join}-{join}",
    "open quote -> \"{join}",
    "close quote -> {join}\"",
    "open bracket -> ({join}",
    "close bracket -> {join})",
    "scratch that -> {scratch}",
};

/* A word of an utterance: the text between two blanks, and the part of it that is no mark. */
struct item {
    const char *text, *core;
    size_t size, core_size;
};

static bool is_mark(char c)
{
    return c && strchr(",.;:?!", c);
}

static bool is_of_word(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* The next item from *at on, which moves behind it; false: there is none. */
static bool next_item(const char **at, struct item *item)
{
    item->text = *at + strspn(*at, " \t");
    item->size = strcspn(item->text, " \t");
    *at = item->text + item->size;
    const char *core = item->text, *end = *at;
    while (core < end && !is_of_word(*core))
        core++;
    while (end > core && !is_of_word(end[-1]))
        end--;
    item->core = core;
    item->core_size = (size_t)(end - core);
    return item->size > 0;
}

static bool is_word(const struct item *item, const char *word)
{
    return strlen(word) == item->core_size && strncasecmp(word, item->core, item->core_size) == 0;
}

static bool has_mark_before(const struct item *item)
{
    return item->core > item->text;
}

static bool has_mark_behind(const struct item *item)
{
    return item->core + item->core_size < item->text + item->size;
}

/* Whether the first words of the phrase, as many as there are items, are these items. */
static bool begins_with(const struct phrase *p, const struct item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool split = (i > 0 && has_mark_before(&items[i])) ||
                     (i + 1 < p->count && has_mark_behind(&items[i]));
        if (split || !is_word(&items[i], p->words[i]))
            return false;
    }
    return true;
}

/* The longest phrase that the items begin with; NULL: none. */
static const struct phrase *find_phrase(const struct typing *t, const struct item *items,
                                        size_t count)
{
    const struct phrase *found = NULL;
    for (size_t i = 0; i < t->count; i++) {
        const struct phrase *p = &t->phrases[i];
        if (!p->off && p->count <= count && (!found || p->count > found->count) &&
            begins_with(p, items, p->count))
            found = p;
    }
    return found;
}

/* How many of the items are left when those at the end that a phrase may begin with wait. */
static size_t count_sure(const struct typing *t, const struct item *items, size_t count)
{
    for (size_t from = 0; from < count; from++)
        for (size_t i = 0; i < t->count; i++) {
            const struct phrase *p = &t->phrases[i];
            if (!p->off && p->count > count - from && begins_with(p, items + from, count - from))
                return from;
        }
    return count;
}

/* The text while it is written. */
struct writer {
    struct typed *out;
    size_t size;  /* bytes of the text */
    size_t marks; /* bytes at its end that are marks of the model */
    bool glued;   /* no blank before the next word */
    bool capital; /* the next word begins with a capital letter */
};

static void append(struct writer *w, const char *text, size_t size)
{
    if (w->size + size >= sizeof w->out->text)
        return;
    memcpy(w->out->text + w->size, text, size);
    w->size += size;
    w->out->text[w->size] = '\0';
}

static void append_blank(struct writer *w)
{
    if (w->size && !w->glued)
        append(w, " ", 1);
    w->glued = false;
}

static void append_word(struct writer *w, const struct item *item)
{
    append_blank(w);
    size_t begin = w->size;
    append(w, item->text, item->size);
    char *first = w->out->text + begin + (item->core - item->text);
    if (w->capital && w->size > begin && item->core_size)
        *first = (char)toupper((unsigned char)*first);
    w->capital = w->capital && !item->core_size;
    w->marks = 0;
    while (w->marks < w->size - begin && is_mark(w->out->text[w->size - w->marks - 1]))
        w->marks++;
}

/* Takes back the utterance so far, or the one before where there is none. */
static void scratch(struct writer *w)
{
    w->out->takes_back += w->size == 0;
    w->out->joins_before = w->out->drops_mark = w->glued = w->capital = false;
    w->size = w->marks = 0;
    w->out->text[0] = '\0';
}

/* A spoken mark takes the place of the model's own, which it puts where somebody pauses. */
static void append_phrase(struct writer *w, const struct phrase *p)
{
    bool mark = p->joins_before && ispunct((unsigned char)*p->typed);
    if (p->scratch) {
        scratch(w);
        return;
    }
    if (!w->size && p->joins_before) {
        w->out->joins_before = true;
        w->out->drops_mark = mark;
    }
    if (mark)
        w->size -= w->marks;
    w->glued = w->glued || p->joins_before;
    if (*p->typed) {
        append_blank(w);
        append(w, p->typed, strlen(p->typed));
        w->glued = p->joins_after;
    }
    w->marks = 0;
    w->capital = p->capital;
}

void typing_write(const struct typing *t, const char *said, bool more, struct typed *out)
{
    char plain[SAID_MAX];
    struct item items[ITEMS_MAX];
    size_t count = 0;
    const char *at = plain;
    struct writer w = {.out = out};
    snprintf(plain, sizeof plain, "%s", said);
    utf8_make_plain(plain);
    while (count < ITEMS_MAX && next_item(&at, &items[count]))
        count++;
    *out = (struct typed){.text = ""};
    if (more)
        count = count_sure(t, items, count);
    for (size_t i = 0; i < count;) {
        const struct phrase *p = find_phrase(t, items + i, count - i);
        if (p)
            append_phrase(&w, p);
        else
            append_word(&w, &items[i]);
        i += p ? p->count : 1;
    }
    out->joins_after = w.glued;
}

bool typing_ends_with_mark(const char *text)
{
    size_t size = strlen(text);
    return size && is_mark(text[size - 1]);
}

/* The words before the arrow. */
static int parse_words(struct phrase *p, const char *text, struct error *error)
{
    struct item item;
    while (next_item(&text, &item)) {
        if (!item.core_size)
            return error_set(error, -EINVAL, "\"%.*s\" is not a word", (int)item.size, item.text);
        if (p->count == PHRASE_WORDS_MAX)
            return error_set(error, -EINVAL, "more than %d words", (int)PHRASE_WORDS_MAX);
        char *word = strndup(item.core, item.core_size);
        if (!word)
            return error_set(error, -ENOMEM, "out of memory");
        for (char *c = word; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        p->words[p->count++] = word;
    }
    return p->count ? 0 : error_set(error, -EINVAL, "no words before " ARROW);
}

#define ACTIONS "{newline} {tab} {space} {join} {capital} {scratch} {off}"

/* What {name} does to the phrase, whose text has size bytes. */
static int parse_action(struct phrase *p, const char *name, size_t length, size_t *size,
                        struct error *error)
{
    static const struct {
        const char *name, *text;
    } texts[] = {{"newline", "\n"}, {"tab", "\t"}, {"space", " "}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strlen(texts[i].name) == length && strncmp(texts[i].name, name, length) == 0) {
            p->typed[(*size)++] = *texts[i].text;
            return 0;
        }
    if (length == 4 && strncmp(name, "join", 4) == 0)
        *(*size ? &p->joins_after : &p->joins_before) = true;
    else if (length == 7 && strncmp(name, "capital", 7) == 0)
        p->capital = true;
    else if (length == 7 && strncmp(name, "scratch", 7) == 0)
        p->scratch = true;
    else if (length == 3 && strncmp(name, "off", 3) == 0)
        p->off = true;
    else
        return error_set(error, -EINVAL, "{%.*s} is none of " ACTIONS, (int)length, name);
    return 0;
}

/* Whether a text that follows stands behind a {join} that ended it, or beside what stands alone. */
static int check_typed(const struct phrase *p, size_t size, bool alone, struct error *error)
{
    if ((p->scratch || p->off) && !alone)
        return error_set(error, -EINVAL, "{scratch} and {off} stand alone behind " ARROW);
    if (!size && !p->joins_before && !p->capital && !p->scratch && !p->off)
        return error_set(error, -EINVAL,
                         "nothing behind " ARROW "; {off} makes plain words of a phrase");
    return 0;
}

/* What is behind the arrow. A brace that no letter follows is typed as it is. */
static int parse_typed(struct phrase *p, const char *text, struct error *error)
{
    size_t size = 0;
    p->source = strdup(text);
    p->typed = calloc(1, strlen(text) + 1);
    if (!p->source || !p->typed)
        return error_set(error, -ENOMEM, "out of memory");
    for (const char *at = text; *at;) {
        bool action = *at == '{' && isalpha((unsigned char)at[1]);
        size_t length = action ? strcspn(at, "}") : 1;
        if (action && !at[length])
            return error_set(error, -EINVAL, "\"%s\" has no }", at);
        bool ended = p->joins_after;
        size_t before = size;
        int rc = action ? parse_action(p, at + 1, length - 1, &size, error) : 0;
        if (rc)
            return rc;
        if (!action)
            p->typed[size++] = *at;
        if (ended && size > before)
            return error_set(error, -EINVAL, "{join} stands at the beginning or at the end");
        at += length + action;
    }
    return check_typed(p, size, strchr(text, '}') && !strchr(text, '}')[1] && *text == '{', error);
}

static bool is_same(const struct phrase *a, const struct phrase *b)
{
    for (size_t i = 0; i < a->count && a->count == b->count; i++)
        if (strcmp(a->words[i], b->words[i]) != 0)
            return false;
    return a->count == b->count;
}

static void finish_phrase(struct phrase *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->words[i]);
    free(p->typed);
    free(p->source);
}

/* Puts it in the place of one with the same words. p is taken, or as it was with an error. */
static int put(struct typing *t, const struct phrase *p, struct error *error)
{
    for (size_t i = 0; i < t->count; i++) {
        if (!is_same(&t->phrases[i], p))
            continue;
        if (t->phrases[i].line)
            return error_set(error, -EINVAL, "line %d has the same phrase", t->phrases[i].line);
        finish_phrase(&t->phrases[i]);
        t->phrases[i] = *p;
        return 0;
    }
    struct phrase *grown = realloc(t->phrases, (t->count + 1) * sizeof *grown);
    if (!grown)
        return error_set(error, -ENOMEM, "out of memory");
    t->phrases = grown;
    t->phrases[t->count++] = *p;
    return 0;
}

/* A line without its end; number 0: built in. */
static int parse_line(struct typing *t, char *line, int number, struct error *error)
{
    struct phrase p = {.line = number};
    size_t length = strlen(line);
    while (length && strchr(" \t\r\n", line[length - 1]))
        line[--length] = '\0';
    line += strspn(line, " \t");
    if (!*line || *line == '#')
        return 0;
    for (const char *at = line; *at; at += utf8_size(at))
        if (!utf8_size(at) || (utf8_is_control(at, utf8_size(at)) && *at != '\t'))
            return error_set(error, -EINVAL, "not a line of text in UTF-8");
    char *arrow = strstr(line, ARROW);
    if (!arrow)
        return error_set(error, -EINVAL, "no " ARROW " between what is said and what is typed");
    *arrow = '\0';
    arrow += strlen(ARROW);
    int rc = parse_words(&p, line, error);
    if (!rc)
        rc = parse_typed(&p, arrow + strspn(arrow, " \t"), error);
    if (!rc)
        rc = put(t, &p, error);
    if (rc)
        finish_phrase(&p);
    return rc;
}

static int add_built_in(struct typing *t, struct error *error)
{
    char line[128];
    int rc = 0;
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in && !rc; i++) {
        snprintf(line, sizeof line, "%s", built_in[i]);
        rc = parse_line(t, line, 0, error);
    }
    return rc;
}

static int take_line(void *typing, char *line, int number, struct error *error)
{
    return parse_line(typing, line, number, error);
}

int typing_create(struct typing **out, const char *path, struct error *error)
{
    struct typing *t = calloc(1, sizeof *t);
    int rc = t ? add_built_in(t, error) : error_set(error, -ENOMEM, "out of memory");
    if (!rc && path)
        rc = lines_read(path, take_line, t, error);
    if (rc)
        typing_destroy(t);
    else
        *out = t;
    return rc;
}

void typing_destroy(struct typing *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        finish_phrase(&t->phrases[i]);
    free(t->phrases);
    free(t);
}

void typing_print(const struct typing *t, FILE *out)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct phrase *p = &t->phrases[i];
        for (size_t j = 0; j < p->count; j++)
            fprintf(out, "%s%s", j ? " " : "", p->words[j]);
        fprintf(out, " " ARROW " %s\n", p->source);
    }
}
