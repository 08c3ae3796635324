#include "cli/rules.h"

#include "cli/spoken_number.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORDS_MAX = 64, /* of a sentence, a pattern or a command; what is longer fits nothing */
    SLOTS_MAX = 4,
    LINE_MAX_BYTES = 1024,
};

#define ARROW "->"

enum kind {
    KIND_WORD,
    KIND_SLOT,   /* one word or more */
    KIND_NUMBER, /* a number */
};

/* A word of a pattern, or an argument of a command. */
struct part {
    enum kind kind;
    char *text; /* the word, or the slot's name; owned */
};

struct rule {
    struct part pattern[WORDS_MAX], command[WORDS_MAX];
    size_t pattern_count, command_count;
};

struct rules {
    struct rule *rules; /* [count], owned */
    size_t count;
};

/* A sentence in lower case, split at whatever is not a letter, a digit or an apostrophe. */
struct sentence {
    char bytes[LINE_MAX_BYTES];
    char *words[WORDS_MAX];
    size_t count;
};

static bool is_of_word(char c)
{
    return isalnum((unsigned char)c) || c == '\'' || (unsigned char)c >= 0x80;
}

/* False: too long. */
static bool split(struct sentence *s, const char *text)
{
    size_t size = strlen(text) + 1;
    s->count = 0;
    if (size > sizeof s->bytes)
        return false;
    bool within = false;
    for (size_t i = 0; i < size; i++) {
        bool of_word = is_of_word(text[i]);
        s->bytes[i] = of_word ? (char)tolower((unsigned char)text[i]) : '\0';
        if (of_word && !within && s->count == WORDS_MAX)
            return false;
        if (of_word && !within)
            s->words[s->count++] = &s->bytes[i];
        within = of_word;
    }
    return true;
}

/* Which words of a sentence a slot stands for. */
struct binding {
    const char *name;
    size_t from, to;
    bool number;
    long value;
};

struct match {
    const struct rule *rule;
    const struct sentence *sentence;
    struct binding bindings[SLOTS_MAX];
};

/* Fits the pattern from its part p on to the words from w on; slots counts those bound before. */
static bool fits(struct match *m, size_t p, size_t w, size_t slots)
{
    const struct rule *rule = m->rule;
    const struct sentence *s = m->sentence;
    if (p == rule->pattern_count)
        return w == s->count;
    const struct part *part = &rule->pattern[p];
    if (part->kind == KIND_WORD)
        return w < s->count && strcmp(part->text, s->words[w]) == 0 && fits(m, p + 1, w + 1, slots);
    for (size_t to = w + 1; to <= s->count; to++) {
        struct binding *b = &m->bindings[slots];
        *b = (struct binding){part->text, w, to, part->kind == KIND_NUMBER, 0};
        if (b->number && !spoken_number(&s->words[w], to - w, &b->value))
            continue;
        if (fits(m, p + 1, to, slots + 1))
            return true;
    }
    return false;
}

/* The words that a slot stands for, or its number; owned by the caller. */
static char *slot_text(const struct match *m, const char *name)
{
    const struct binding *b = m->bindings;
    while (strcmp(b->name, name) != 0)
        b++;
    char text[LINE_MAX_BYTES] = "";
    if (b->number)
        snprintf(text, sizeof text, "%ld", b->value);
    for (size_t i = b->from, at = 0; !b->number && i < b->to; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i > b->from ? " " : "",
                               m->sentence->words[i]);
    return strdup(text);
}

static char **arguments_of(const struct match *m)
{
    const struct rule *rule = m->rule;
    char **arguments = calloc(rule->command_count + 1, sizeof *arguments);
    for (size_t i = 0; arguments && i < rule->command_count; i++) {
        const struct part *part = &rule->command[i];
        arguments[i] = part->kind == KIND_WORD ? strdup(part->text) : slot_text(m, part->text);
        if (!arguments[i]) {
            rules_free(arguments);
            return NULL;
        }
    }
    return arguments;
}

char **rules_match(const struct rules *r, const char *text)
{
    struct sentence sentence;
    if (!split(&sentence, text) || sentence.count == 0)
        return NULL;
    for (size_t i = 0; i < r->count; i++) {
        struct match m = {.rule = &r->rules[i], .sentence = &sentence};
        if (fits(&m, 0, 0, 0))
            return arguments_of(&m);
    }
    return NULL;
}

void rules_free(char **arguments)
{
    for (char **a = arguments; a && *a; a++)
        free(*a);
    free(arguments);
}

/* "{name}" or "{name:number}", up to its end; false: not a slot. */
static bool parse_slot(const char *text, size_t length, struct part *part)
{
    static const char number[] = ":number";
    size_t tail = sizeof number - 1;
    if (length < 3 || text[0] != '{' || text[length - 1] != '}')
        return false;
    size_t name = length - 2;
    bool is_number = name > tail && strncmp(text + 1 + name - tail, number, tail) == 0;
    if (is_number)
        name -= tail;
    for (size_t i = 0; i < name; i++)
        if (!isalnum((unsigned char)text[1 + i]) && text[1 + i] != '_')
            return false;
    *part = (struct part){is_number ? KIND_NUMBER : KIND_SLOT, strndup(text + 1, name)};
    return true;
}

static const struct part *find_slot(const struct rule *rule, const char *name)
{
    for (size_t i = 0; i < rule->pattern_count; i++)
        if (rule->pattern[i].kind != KIND_WORD && strcmp(rule->pattern[i].text, name) == 0)
            return &rule->pattern[i];
    return NULL;
}

static int add_to_pattern(struct rule *rule, struct part part, struct error *error)
{
    if (!part.text)
        return error_set(error, -ENOMEM, "out of memory");
    if (rule->pattern_count == WORDS_MAX) {
        free(part.text);
        return error_set(error, -EINVAL, "more than %d words", (int)WORDS_MAX);
    }
    rule->pattern[rule->pattern_count++] = part;
    return 0;
}

/* The slot is taken or freed. */
static int add_slot(struct rule *rule, struct part slot, size_t *slots, struct error *error)
{
    size_t before = rule->pattern_count;
    int rc = 0;
    if (slot.text && *slots == SLOTS_MAX)
        rc = error_set(error, -EINVAL, "more than %d slots", (int)SLOTS_MAX);
    else if (slot.text && before && rule->pattern[before - 1].kind != KIND_WORD)
        rc = error_set(error, -EINVAL, "no word between {%s} and {%s}",
                       rule->pattern[before - 1].text, slot.text);
    else if (slot.text && find_slot(rule, slot.text))
        rc = error_set(error, -EINVAL, "{%s} is there twice", slot.text);
    if (rc) {
        free(slot.text);
        return rc;
    }
    (*slots)++;
    return add_to_pattern(rule, slot, error);
}

/* The words of an item, which may have punctuation within. */
static int add_words(struct rule *rule, const char *item, struct error *error)
{
    struct sentence words;
    if (strpbrk(item, "{}"))
        return error_set(error, -EINVAL, "\"%s\" is neither a word, {name} nor {name:number}",
                         item);
    if (!split(&words, item))
        return error_set(error, -EINVAL, "more than %d words", (int)WORDS_MAX);
    int rc = 0;
    for (size_t i = 0; i < words.count && !rc; i++)
        rc = add_to_pattern(rule, (struct part){KIND_WORD, strdup(words.words[i])}, error);
    return rc;
}

/* The sentence before the arrow: words as a sentence has them, and slots. */
static int parse_pattern(struct rule *rule, char *text, struct error *error)
{
    size_t slots = 0;
    char *rest;
    for (char *item = strtok_r(text, " \t", &rest); item; item = strtok_r(NULL, " \t", &rest)) {
        struct part slot;
        int rc = parse_slot(item, strlen(item), &slot) ? add_slot(rule, slot, &slots, error)
                                                       : add_words(rule, item, error);
        if (rc)
            return rc;
    }
    return rule->pattern_count ? 0 : error_set(error, -EINVAL, "no sentence before " ARROW);
}

/* One argument, from *at on, which moves behind it: up to a blank, or within double quotes. */
static int parse_argument(struct rule *rule, char **at, struct error *error)
{
    char *begin = *at;
    bool quoted = *begin == '"';
    begin += quoted;
    size_t length = strcspn(begin, quoted ? "\"" : " \t");
    if (quoted && !begin[length])
        return error_set(error, -EINVAL, "a quote has no end");
    *at = begin + length + quoted;
    if (rule->command_count == WORDS_MAX)
        return error_set(error, -EINVAL, "more than %d arguments", (int)WORDS_MAX);
    struct part part;
    if (quoted || !parse_slot(begin, length, &part))
        part = (struct part){KIND_WORD, strndup(begin, length)};
    rule->command[rule->command_count++] = part;
    if (!part.text)
        return error_set(error, -ENOMEM, "out of memory");
    if (part.kind == KIND_NUMBER || (part.kind == KIND_SLOT && !find_slot(rule, part.text)))
        return error_set(error, -EINVAL, "{%s} is not in the sentence", part.text);
    if (part.kind == KIND_SLOT && rule->command_count == 1)
        return error_set(error, -EINVAL, "{%s} cannot be the program", part.text);
    if (part.kind == KIND_WORD && !quoted && strpbrk(part.text, "{}\""))
        return error_set(error, -EINVAL, "\"%s\": a slot is an argument of its own", part.text);
    return 0;
}

static int parse_command(struct rule *rule, char *text, struct error *error)
{
    for (text += strspn(text, " \t"); *text; text += strspn(text, " \t")) {
        int rc = parse_argument(rule, &text, error);
        if (rc)
            return rc;
    }
    if (!rule->command_count || !*rule->command[0].text)
        return error_set(error, -EINVAL, "no program behind " ARROW);
    return 0;
}

static int parse_line(struct rules *r, char *line, struct error *error)
{
    line[strcspn(line, "\r\n")] = '\0';
    line += strspn(line, " \t");
    if (!*line || *line == '#')
        return 0;
    char *arrow = strstr(line, ARROW);
    if (!arrow)
        return error_set(error, -EINVAL, "no " ARROW " between a sentence and a command");
    struct rule *grown = realloc(r->rules, (r->count + 1) * sizeof *grown);
    if (!grown)
        return error_set(error, -ENOMEM, "out of memory");
    r->rules = grown;
    struct rule *rule = &grown[r->count++];
    memset(rule, 0, sizeof *rule);
    *arrow = '\0';
    int rc = parse_pattern(rule, line, error);
    return rc ? rc : parse_command(rule, arrow + strlen(ARROW), error);
}

int rules_read(struct rules **out, const char *path, struct error *error)
{
    char line[LINE_MAX_BYTES];
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    struct rules *r = calloc(1, sizeof *r);
    int rc = r ? 0 : error_set(error, -ENOMEM, "out of memory");
    for (int number = 1; !rc && fgets(line, sizeof line, file); number++) {
        struct error what;
        if (!strchr(line, '\n') && !feof(file))
            rc = error_set(&what, -EINVAL, "the line is too long");
        else
            rc = parse_line(r, line, &what);
        if (rc)
            error_set(error, rc, "%s:%d: %s", path, number, what.message);
    }
    if (!rc && ferror(file))
        rc = error_set(error, -EIO, "%s: cannot be read", path);
    fclose(file);
    if (rc)
        rules_destroy(r);
    else
        *out = r;
    return rc;
}

static void free_parts(struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(parts[i].text);
}

void rules_destroy(struct rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++) {
        free_parts(r->rules[i].pattern, r->rules[i].pattern_count);
        free_parts(r->rules[i].command, r->rules[i].command_count);
    }
    free(r->rules);
    free(r);
}
