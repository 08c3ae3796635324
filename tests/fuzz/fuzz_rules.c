/* The rules of `earshot run` over any bytes, then sentences for them: some that fit the seeds, and
 * every line of the file. */
#include "cli/rules.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/place.h"

#include <stdlib.h>
#include <string.h>

static const char *const sentences[] = {
    "",
    "turn on the kitchen lights",
    "set a timer for twenty five minutes",
    "a a a a a a a a a a",
    "say \xc3\xa4\xff to nobody",
    "one hundred and twenty point five past seven",
};

static void match(const struct rules *r, const char *text)
{
    struct rules_rule which = {0};
    const struct rules_intent intent = {
        "timer.set", 2, {{"duration", "five minutes"}, {"task", text}}};
    char **arguments = rules_match(r, text, &intent, &which);
    if (arguments &&
        (!arguments[0] || !*arguments[0] || which.line < 1 || which.min_confidence > 1.0))
        abort(); /* no program, or no rule that has one */
    rules_free(arguments);
}

static void match_lines(const struct rules *r, const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return;
    memcpy(text, data, size);
    text[size] = '\0';
    char *rest;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        match(r, line);
        char *arrow = strstr(line, "->");
        if (arrow)
            *arrow = '\0';
        match(r, line);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rules *r;
    struct error error = {""};
    const char *path = place_write(data, size);
    if (rules_read(&r, path, &error)) {
        if (strncmp(error.message, path, strlen(path)) != 0)
            abort();
        return 0;
    }
    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++)
        match(r, sentences[i]);
    match_lines(r, data, size);
    rules_destroy(r);
    return 0;
}
