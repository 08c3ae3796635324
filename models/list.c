/* earshot model list: the models of this machine, and those that the index has. */
#include "base/utf8.h"
#include "model/gguf.h"
#include "models/commands.h"
#include "models/index.h"
#include "models/shelf.h"

#include <cjson/cJSON.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LICENCE_MAX = 40,
};

/* A line of the list: a model that is here, or an entry of the index, or both. */
struct row {
    const char *name, *state, *about, *languages, *path;
    char licence[LICENCE_MAX + 1];
    uint64_t bytes; /* 0: unknown */
};

/* general.license of a model file, in place of what is there, where it says one. */
static void read_licence(const char *path, char licence[LICENCE_MAX + 1])
{
    struct gguf *g;
    struct gguf_string text;
    struct error ignored;

    if (gguf_open(&g, path, &ignored))
        return;
    if (gguf_get_string(g, "general.license", &text, &ignored) == 0)
        snprintf(licence, LICENCE_MAX + 1, "%.*s",
                 (int)(text.size < LICENCE_MAX ? text.size : LICENCE_MAX), text.data);
    gguf_close(g);
}

static struct row row_of_entry(const struct index_entry *entry)
{
    struct row row = {.name = entry->name, .path = "", .about = entry->about};

    row.state = "to get";
    row.languages = entry->languages;
    row.bytes = entry->bytes;
    snprintf(row.licence, sizeof row.licence, "%s", entry->licence);
    return row;
}

static struct row row_of_model(const struct shelf_model *model, const struct index *index,
                               const char *current)
{
    const struct index_entry *entry = index_find(index, model->name);
    struct row row = {.about = "", .languages = ""};

    if (entry)
        row = row_of_entry(entry);
    row.name = model->name;
    row.path = model->path;
    row.bytes = model->bytes;
    row.state = shelf_is(model, current) ? "in use" : model->kind == SHELF_BEGUN ? "begun" : "here";
    if (model->kind != SHELF_BEGUN)
        read_licence(model->path, row.licence);
    return row;
}

/* What is not ours to choose is shown, not obeyed. */
static void print_cell(const char *text, int width, const char *behind)
{
    char plain[NAME_MAX + 1];

    snprintf(plain, sizeof plain, "%s", text);
    utf8_make_plain(plain);
    printf("%-*s%s", width, plain, behind);
}

static void print_row(const struct row *row)
{
    char size[24] = "";

    if (row->bytes)
        snprintf(size, sizeof size, "%.1f MB", (double)row->bytes / 1e6);
    print_cell(row->name, 30, " ");
    printf("%-7s %10s  ", row->state, size);
    print_cell(row->languages, 9, " ");
    print_cell(*row->licence ? row->licence : "not said", 11, " ");
    print_cell(row->about, 0, "\n");
}

static void print_json(const struct row *row)
{
    cJSON *object = cJSON_CreateObject();

    cJSON_AddStringToObject(object, "name", row->name);
    cJSON_AddStringToObject(object, "state", row->state);
    if (row->bytes)
        cJSON_AddNumberToObject(object, "bytes", (double)row->bytes);
    cJSON_AddStringToObject(object, "languages", row->languages);
    cJSON_AddStringToObject(object, "licence", row->licence);
    cJSON_AddStringToObject(object, "about", row->about);
    cJSON_AddStringToObject(object, "path", row->path);
    char *text = cJSON_PrintUnformatted(object);
    puts(text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(object);
}

/* A model in use that lies elsewhere. */
static void print_other(const struct shelf *shelf, const char *current,
                        void (*print)(const struct row *row))
{
    struct stat st;
    struct row row = {current, "in use", "", "", current, "", 0};

    for (size_t i = 0; i < shelf->count; i++)
        if (shelf_is(&shelf->models[i], current))
            return;
    if (!*current)
        return;
    if (stat(current, &st) != 0)
        row.about = "not there";
    else
        row.bytes = (uint64_t)st.st_size;
    read_licence(current, row.licence);
    print(&row);
}

static void print_all(const struct shelf *shelf, const struct index *index, const char *current,
                      void (*print)(const struct row *row))
{
    print_other(shelf, current, print);
    for (size_t i = 0; i < shelf->count; i++) {
        const struct shelf_model *model = &shelf->models[i];
        struct row row = row_of_model(model, index, current);
        if (model->kind != SHELF_BEGUN || !shelf_find(shelf, model->name))
            print(&row);
    }
    for (size_t i = 0; i < index_count(index); i++) {
        const struct index_entry *entry = index_at(index, i);
        struct row row = row_of_entry(entry);
        bool here = shelf_find(shelf, entry->name) || shelf_begun(shelf, entry->name);
        if (!here && (*entry->hub || *entry->address))
            print(&row);
    }
}

static int list(bool json)
{
    struct error error;
    struct shelf shelf = {0};
    struct index *index = NULL;
    char current[PATH_MAX] = "";
    int rc = index_open(&index, &error);

    if (!rc)
        rc = shelf_open(&shelf, &error);
    if (!rc)
        rc = command_current(current, &error);
    if (!rc) {
        if (!json)
            printf("%-30s %-7s %10s  %-9s %-11s %s\n", "NAME", "STATE", "SIZE", "LANGUAGES",
                   "LICENCE", "ABOUT");
        print_all(&shelf, index, current, json ? print_json : print_row);
    }
    shelf_close(&shelf);
    index_close(index);
    return rc ? command_fail(&error) : EXIT_DONE;
}

static int usage(FILE *to, int code)
{
    fprintf(to, "earshot model list [--json]\n"
                "Prints the models of this machine, and those that earshot model get fetches.\n"
                "  --json   an object a line\n");
    return code;
}

int command_list(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool json = false;
    int c;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h')
            return usage(stdout, EXIT_DONE);
        if (c != 'j')
            return usage(stderr, EXIT_USAGE);
        json = true;
    }
    return optind == argc ? list(json) : usage(stderr, EXIT_USAGE);
}
