/* earshot model info: what is in a model file: metadata, prompts, tensors with types and sizes. */
#include "cli/beside.h"
#include "cli/command.h"
#include "cli/offline.h"
#include "cues/cues.h"
#include "model/gguf.h"

#include <stdio.h>
#include <string.h>

#define PROGRAM "earshot-model"

/* The beginning of it, on one line. */
static void print_string(struct gguf_string s)
{
    char text[201];
    snprintf(text, sizeof(text), "%.*s", (int)(s.size < sizeof(text) ? s.size : sizeof(text)),
             s.data);
    cue_print_text(text, stdout);
}

/* In quotation marks. */
static void print_strings(const char *data, size_t count)
{
    printf("[");
    for (size_t i = 0; i < count && i < 64; i++) {
        uint64_t size;
        memcpy(&size, data, sizeof(size));
        data += sizeof(size);
        printf(i ? " \"" : "\"");
        print_string((struct gguf_string){data, (size_t)size});
        printf("\"");
        data += size;
    }
    printf(count > 64 ? " ...] %zu in all" : "]", count);
}

static void print_array(const struct gguf *g, const char *key)
{
    const void *data;
    size_t count;
    struct error ignored;
    if (!gguf_get_array(g, key, GGUF_STRING, &data, &count, &ignored)) {
        print_strings(data, count);
        return;
    }
    if (gguf_get_array(g, key, GGUF_U32, &data, &count, &ignored)) {
        printf("array");
        return;
    }
    printf("[");
    for (size_t i = 0; i < count && i < 16; i++) {
        uint32_t id;
        memcpy(&id, (const char *)data + i * sizeof(id), sizeof(id));
        printf("%s%u", i ? " " : "", id);
    }
    printf(count > 16 ? " ...] %zu in all" : "]", count);
}

static void print_value(const struct gguf *g, const char *key, enum gguf_type type)
{
    struct error ignored;
    uint32_t u;
    float f;
    bool b;
    struct gguf_string s;
    if (type == GGUF_ARRAY)
        print_array(g, key);
    else if (!gguf_get_u32(g, key, &u, &ignored))
        printf("%u", u);
    else if (!gguf_get_f32(g, key, &f, &ignored))
        printf("%g", (double)f);
    else if (!gguf_get_bool(g, key, &b, &ignored))
        printf("%s", b ? "true" : "false");
    else if (!gguf_get_string(g, key, &s, &ignored))
        print_string(s);
    else
        printf("(type %d)", (int)type);
}

static void print_metadata(const struct gguf *g)
{
    for (size_t i = 0; i < gguf_key_count(g); i++) {
        enum gguf_type type;
        struct gguf_string key = gguf_key_at(g, i, &type);
        char name[256];
        snprintf(name, sizeof(name), "%.*s", (int)key.size, key.data);
        printf("%-36s ", name);
        print_value(g, name, type);
        putchar('\n');
    }
}

struct total {
    size_t tensors;
    double parameters, bytes;
};

static void print_tensor(const struct gguf_tensor *t, struct total *total)
{
    char shape[96];
    int at = 0;
    for (uint32_t d = t->dims; d-- > 0;)
        at += snprintf(shape + at, sizeof(shape) - (size_t)at, "%s%llu", at ? ", " : "[",
                       (unsigned long long)t->size[d]);
    const char *type = t->readable ? tensor_type_name(t->tensor.type) : NULL;
    size_t bytes =
        t->readable ? t->tensor.rows * tensor_row_bytes(t->tensor.type, t->tensor.cols) : 0;
    printf("%-44.*s %-18s] %-5s %10zu bytes\n", (int)t->name.size, t->name.data, shape,
           type ? type : "?", bytes);
    total->tensors++;
    total->parameters += (double)t->tensor.rows * (double)t->tensor.cols;
    total->bytes += (double)bytes;
}

static int model_info(const char *path)
{
    struct error error;
    struct gguf *g;
    if (gguf_open(&g, path, &error))
        return offline_fail("model info", &error);
    print_metadata(g);
    putchar('\n');
    struct total total = {0};
    for (size_t i = 0; i < gguf_tensor_count(g); i++)
        print_tensor(gguf_tensor_at(g, i), &total);
    printf("\n%zu tensors, %.2f M parameters, %.2f MB\n", total.tensors, total.parameters / 1e6,
           total.bytes / 1e6);
    gguf_close(g);
    return EXIT_DONE;
}

static int usage(FILE *to, int code)
{
    fputs("earshot model info FILE\n"
          "    Prints the metadata, the prompts, and the tensors with their types and sizes.\n"
          "earshot model list [OPTION...]\n"
          "    Prints the models of this machine, and those that can be fetched.\n"
          "earshot model get NAME|ADDRESS [OPTION...]\n"
          "    Fetches one.\n"
          "earshot model use NAME|FILE [OPTION...]\n"
          "    Has the daemon hear with it.\n"
          "earshot model remove NAME\n"
          "    Deletes one that was fetched.\n"
          "earshot model convert CHECKPOINT -o OUT.gguf [OPTION...]\n"
          "    Makes a model file of a public checkpoint.\n"
          "Each takes --help.\n",
          to);
    return code;
}

/* All but info is the business of a program of its own. */
static int hand_over(char **argv)
{
    argv[0] = PROGRAM;
    int rc = beside_become(PROGRAM, argv);
    error_print("earshot model %s: " PROGRAM ": %s; this Earshot was built without libcurl",
                argv[1], strerror(-rc));
    return EXIT_FAILED;
}

int command_model(int argc, char **argv)
{
    const char *first = argc > 1 ? argv[1] : "";

    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0)
        return usage(stdout, EXIT_DONE);
    if (*first == '-')
        error_print("earshot model: unrecognized option '%.40s'", first);
    if (*first == '-' || !*first)
        return usage(stderr, EXIT_USAGE);
    if (strcmp(first, "info") != 0)
        return hand_over(argv);
    if (argc == 3 && strcmp(argv[2], "--help") == 0)
        return usage(stdout, EXIT_DONE);
    return argc == 3 && *argv[2] != '-' ? model_info(argv[2]) : usage(stderr, EXIT_USAGE);
}
