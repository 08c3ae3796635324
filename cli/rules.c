/* A file of rules, and the search for the one that a sentence fits. */
#include "cli/rules.h"

#include "base/lines.h"
#include "cli/spoken_time.h"
#include "pipeline/spoken_number.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORDS_MAX = 64, /* of a sentence, a pattern or a command; what is longer fits nothing */
    SLOTS_MAX = 4,  /* of a sentence */
    LINE_MAX_BYTES = 1024,
};

#define ARROW "->"

enum kind {
    KIND_WORD,
    KIND_SLOT,   /* one word or more */
    KIND_NUMBER, /* a number */
    KIND_TIME,   /* a time of the day */
};

/* A word of a pattern, or an argument of a command. */
struct part {
    enum kind kind;
    char *text; /* the word, or the slot's name; owned */
    bool optional;
};

struct rule {
    char *intent; /* the order's name, owned; NULL: it is of a sentence */
    struct part pattern[WORDS_MAX], command[WORDS_MAX];
    size_t pattern_count, command_count;
    struct rules_rule about;
};

struct rules {
    struct rule *rules; /* [count], owned */
    size_t count;
};

/* A sentence in lower case, split at whatever is not a letter, a digit or an apostrophe, nor a
 * point or a colon between digits. A comma between three digits and another, as in 1,200, is left
 * out. */
struct sentence {
    char bytes[LINE_MAX_BYTES];
    char *words[WORDS_MAX];
    size_t count;
    size_t used; /* of bytes, where words are put together */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_of_word(char c)
{
    return isalnum((unsigned char)c) || c == '\'' || (unsigned char)c >= 0x80;
}

/* The bytes of a character beyond ASCII that is no letter; 0: it may be one. U+0080 to U+00BF but
 * for the two ordinals and the micro sign, U+2000 to U+2BFF but for the joiners within words, and
 * the punctuation of wide scripts. */
static size_t other_than_letter(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] == 0xc2 && u[1] && u[1] != 0xaa && u[1] != 0xb5 && u[1] != 0xba)
        return 2;
    bool symbol = u[0] == 0xe2 && u[1] >= 0x80 && u[1] <= 0xaf;
    bool joiner = symbol && u[1] == 0x80 && (u[2] == 0x8c || u[2] == 0x8d);
    bool wide = (u[0] == 0xe3 && u[1] == 0x80 && u[2] <= 0x83) ||
                (u[0] == 0xef && u[1] == 0xbc && (u[2] <= 0x8f || u[2] >= 0x9a) && u[2] <= 0xa0);
    return (symbol || wide) && !joiner && u[2] ? 3 : 0;
}

/* Writes the words into out, no longer than text, in lower case and separated by blanks. */
static void simplify(const char *text, char *out)
{
    const char *begin = text;
    for (size_t skipped; *text; text += skipped ? skipped : 1) {
        bool within = text > begin && is_digit(text[-1]) && is_digit(text[1]);
        bool thousands = within && *text == ',' && is_digit(text[2]) && is_digit(text[3]);
        skipped = other_than_letter(text);
        if (skipped == 3 && memcmp(text, "\xe2\x80\x99", 3) == 0)
            *out++ = '\'';
        else if (is_of_word(*text) && !skipped)
            *out++ = (char)tolower((unsigned char)*text);
        else if (within && (*text == '.' || *text == ':'))
            *out++ = *text;
        else if (!thousands)
            *out++ = ' ';
    }
    *out = '\0';
}

/* False: too long. */
static bool split(struct sentence *s, const char *text)
{
    char *rest;
    s->count = 0;
    if (strlen(text) >= sizeof s->bytes)
        return false;
    simplify(text, s->bytes);
    for (char *w = strtok_r(s->bytes, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
        if (s->count == WORDS_MAX)
            return false;
        s->words[s->count++] = w;
    }
    return true;
}

/* Which words of a sentence a slot stands for. */
struct binding {
    const char *name;
    size_t from, to;
    char value[32]; /* of a number or a time; empty: the words themselves */
};

struct match {
    const struct rule *rule;
    const struct sentence *sentence;
    struct binding bindings[RULES_SLOTS_MAX];
};

/* Whether the words are what the slot stands for; its value is empty for the words themselves. */
static bool take_value(enum kind kind, char *const *words, size_t count, char value[static 32])
{
    double number;
    int minutes;
    value[0] = '\0';
    if (kind == KIND_NUMBER && spoken_number(words, count, &number))
        snprintf(value, 32, "%.10g", number);
    else if (kind == KIND_TIME && spoken_time(words, count, &minutes))
        snprintf(value, 32, "%02d:%02d", minutes / 60, minutes % 60);
    return kind == KIND_SLOT || value[0];
}

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
        *b = (struct binding){part->text, w, to, ""};
        if (take_value(part->kind, &s->words[w], to - w, b->value) && fits(m, p + 1, to, slots + 1))
            return true;
    }
    return false;
}

static const char *words_of(const struct rules_intent *intent, const char *slot)
{
    for (size_t i = 0; i < intent->count; i++)
        if (strcmp(intent->slots[i].name, slot) == 0)
            return intent->slots[i].words;
    return NULL;
}

/* Puts the words behind those of the whole, which a slot is bound to. False: it does not stand for
 * such words, or they are too long. */
static bool take_words(struct binding *b, enum kind kind, const char *words, struct sentence *whole)
{
    struct sentence own;
    if (!split(&own, words) || own.count == 0 || whole->count + own.count > WORDS_MAX)
        return false;
    b->to = b->from + own.count;
    for (size_t i = 0, at = whole->used; i < own.count; i++) {
        size_t size = strlen(own.words[i]) + 1;
        if (at + size > sizeof whole->bytes)
            return false;
        whole->words[whole->count++] = memcpy(whole->bytes + at, own.words[i], size);
        whole->used = at += size;
    }
    return take_value(kind, own.words, own.count, b->value);
}

/* Fits the slots to those of the intent; their words become the sentence. */
static bool fits_intent(struct match *m, const struct rules_intent *intent, struct sentence *words)
{
    const struct rule *rule = m->rule;
    size_t filled = 0;
    *words = (struct sentence){.count = 0};
    if (!intent || strcmp(intent->name, rule->intent) != 0)
        return false;
    for (size_t i = 0; i < rule->pattern_count && i < RULES_SLOTS_MAX; i++) {
        const struct part *part = &rule->pattern[i];
        const char *said = words_of(intent, part->text);
        m->bindings[i] = (struct binding){part->text, words->count, words->count, ""};
        if (said ? !take_words(&m->bindings[i], part->kind, said, words) : !part->optional)
            return false;
        filled += said != NULL;
    }
    return filled == intent->count;
}

/* The words that a slot stands for, or its number; owned by the caller. */
static char *slot_text(const struct match *m, const char *name)
{
    const struct binding *b = m->bindings;
    while (strcmp(b->name, name) != 0)
        b++;
    char text[LINE_MAX_BYTES] = "";
    if (*b->value)
        return strdup(b->value);
    for (size_t i = b->from, at = 0; i < b->to; i++)
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

char **rules_match(const struct rules *r, const char *text, const struct rules_intent *intent,
                   struct rules_rule *which)
{
    struct sentence sentence, slots;
    bool said = split(&sentence, text) && sentence.count > 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct rule *rule = &r->rules[i];
        struct match m = {.rule = rule, .sentence = rule->intent ? &slots : &sentence};
        if (rule->intent ? !fits_intent(&m, intent, &slots) : !said || !fits(&m, 0, 0, 0))
            continue;
        if (which)
            *which = rule->about;
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

/* "{name}", "{name:number}" or "{name:time}", up to its end, a "?" before it; false: not a slot. */
static bool parse_slot(const char *text, size_t length, struct part *part)
{
    static const struct {
        const char *tail;
        enum kind kind;
    } kinds[] = {{":number", KIND_NUMBER}, {":time", KIND_TIME}};
    enum kind kind = KIND_SLOT;
    if (length < 3 || text[0] != '{' || text[length - 1] != '}')
        return false;
    size_t name = length - 2;
    bool optional = name > 1 && text[name] == '?';
    name -= optional;
    for (size_t i = 0; kind == KIND_SLOT && i < sizeof kinds / sizeof *kinds; i++) {
        size_t tail = strlen(kinds[i].tail);
        if (name <= tail || strncmp(text + 1 + name - tail, kinds[i].tail, tail) != 0)
            continue;
        kind = kinds[i].kind;
        name -= tail;
    }
    for (size_t i = 0; i < name; i++)
        if (!isalnum((unsigned char)text[1 + i]) && text[1 + i] != '_')
            return false;
    *part = (struct part){kind, strndup(text + 1, name), optional};
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

#define INTENT "{intent:"

/* The slot is taken or freed. */
static int add_slot(struct rule *rule, struct part slot, size_t *slots, struct error *error)
{
    size_t before = rule->pattern_count;
    size_t most = rule->intent ? RULES_SLOTS_MAX : SLOTS_MAX;
    int rc = 0;
    if (slot.text && *slots == most)
        rc = error_set(error, -EINVAL, "more than %zu slots", most);
    else if (slot.text && slot.optional && !rule->intent)
        rc = error_set(error, -EINVAL, "{%s?} may be missing only behind " INTENT "NAME}",
                       slot.text);
    else if (slot.text && before && !rule->intent && rule->pattern[before - 1].kind != KIND_WORD)
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

bool rules_read_confidence(const char *text, double *value)
{
    char *end;
    if (!is_digit(*text) || strspn(text, "0123456789.") != strlen(text))
        return false;
    *value = strtod(text, &end);
    return !*end && *value <= 1;
}

#define CONFIDENCE "{confidence:"

/* "{confidence:0.95}", which is no part of the sentence; 1: it is not that. */
static int parse_confidence(struct rule *rule, const char *item, struct error *error)
{
    char number[16];
    size_t head = strlen(CONFIDENCE), length = strlen(item);
    if (strncmp(item, CONFIDENCE, head) != 0 || item[length - 1] != '}' || !is_digit(item[head]))
        return 1;
    if (rule->about.min_confidence >= 0)
        return error_set(error, -EINVAL, CONFIDENCE "...} is there twice");
    snprintf(number, sizeof number, "%.*s", (int)(length - head - 1), item + head);
    if (length - head > sizeof number ||
        !rules_read_confidence(number, &rule->about.min_confidence))
        return error_set(error, -EINVAL, "\"%s\": not a number from 0 to 1", item);
    return 0;
}

/* "timer.set" */
static bool is_order(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    size_t length = strspn(name, letters);
    while (length && name[length] == '.') {
        size_t more = strspn(name + length + 1, letters);
        length = more ? length + 1 + more : 0;
    }
    return length && !name[length];
}

/* "{intent:timer.set}", which is no sentence but has slots; 1: it is not that. */
static int parse_intent(struct rule *rule, const char *item, struct error *error)
{
    size_t head = strlen(INTENT), length = strlen(item);
    if (strncmp(item, INTENT, head) != 0 || item[length - 1] != '}')
        return 1;
    if (rule->intent || rule->pattern_count)
        return error_set(error, -EINVAL, INTENT "...} is there once, before the slots");
    rule->intent = strndup(item + head, length - head - 1);
    rule->about.of_intent = true;
    if (!rule->intent)
        return error_set(error, -ENOMEM, "out of memory");
    if (!is_order(rule->intent))
        return error_set(error, -EINVAL, "\"%s\": not the name of an order, as timer.set", item);
    return 0;
}

/* The words of an item, which may have punctuation within. */
static int add_words(struct rule *rule, const char *item, struct error *error)
{
    struct sentence words;
    if (strpbrk(item, "{}"))
        return error_set(error, -EINVAL,
                         "\"%s\" is neither a word, {name}, {name:number} nor {name:time}", item);
    if (rule->intent)
        return error_set(error, -EINVAL, "\"%s\": a word beside " INTENT "...}", item);
    if (!split(&words, item))
        return error_set(error, -EINVAL, "more than %d words", (int)WORDS_MAX);
    int rc = 0;
    for (size_t i = 0; i < words.count && !rc; i++)
        rc = add_to_pattern(rule, (struct part){KIND_WORD, strdup(words.words[i]), false}, error);
    return rc;
}

/* What is between two blanks before the arrow. */
static int parse_item(struct rule *rule, const char *item, size_t *slots, struct error *error)
{
    struct part slot;
    int rc = parse_confidence(rule, item, error);
    if (rc <= 0)
        return rc;
    if (parse_slot(item, strlen(item), &slot))
        return add_slot(rule, slot, slots, error);
    rc = parse_intent(rule, item, error);
    return rc > 0 ? add_words(rule, item, error) : rc;
}

/* The sentence before the arrow: words as a sentence has them, and slots; or an order. */
static int parse_pattern(struct rule *rule, char *text, struct error *error)
{
    size_t slots = 0;
    char *rest;
    for (char *item = strtok_r(text, " \t", &rest); item; item = strtok_r(NULL, " \t", &rest)) {
        int rc = parse_item(rule, item, &slots, error);
        if (rc)
            return rc;
    }
    if (rule->pattern_count || rule->intent)
        return 0;
    return error_set(error, -EINVAL, "no sentence before " ARROW);
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
    if (quoted && begin[length + 1] && !strchr(" \t", begin[length + 1]))
        return error_set(error, -EINVAL, "\"%s\" is right behind a quote", begin + length + 1);
    *at = begin + length + quoted;
    if (*begin == '#' && !quoted)
        return error_set(error, -EINVAL,
                         "\"%s\": a comment has a line of its own, "
                         "and an argument that begins with # has quotes",
                         begin);
    if (rule->command_count == WORDS_MAX)
        return error_set(error, -EINVAL, "more than %d arguments", (int)WORDS_MAX);
    struct part part;
    if (quoted || !parse_slot(begin, length, &part))
        part = (struct part){KIND_WORD, strndup(begin, length), false};
    rule->command[rule->command_count++] = part;
    if (!part.text)
        return error_set(error, -ENOMEM, "out of memory");
    if (part.kind == KIND_NUMBER || part.kind == KIND_TIME || part.optional ||
        (part.kind == KIND_SLOT && !find_slot(rule, part.text)))
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

static int parse_line(struct rules *r, char *line, int number, struct error *error)
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
    rule->about = (struct rules_rule){number, -1, false};
    *arrow = '\0';
    int rc = parse_pattern(rule, line, error);
    return rc ? rc : parse_command(rule, arrow + strlen(ARROW), error);
}

static int take_line(void *rules, char *line, int number, struct error *error)
{
    if (strlen(line) >= LINE_MAX_BYTES)
        return error_set(error, -EINVAL, "the line is too long");
    return parse_line(rules, line, number, error);
}

int rules_read(struct rules **out, const char *path, struct error *error)
{
    struct rules *r = calloc(1, sizeof *r);
    int rc = r ? lines_read(path, take_line, r, error) : error_set(error, -ENOMEM, "out of memory");
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
        free(r->rules[i].intent);
        free_parts(r->rules[i].pattern, r->rules[i].pattern_count);
        free_parts(r->rules[i].command, r->rules[i].command_count);
    }
    free(r->rules);
    free(r);
}
