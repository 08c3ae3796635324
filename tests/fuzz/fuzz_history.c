/* The history on disk over any bytes: ids rise, and what was read is read once more, with the text
 * that was added to it. */
#include "daemon/history_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/place.h"

#include <stdlib.h>
#include <string.h>

enum {
    CAPACITY = 8,
};

struct opened {
    struct folder_lock lock;
    struct history *history;
    struct history_file *file;
};

static void open_history(struct opened *o, const char *path)
{
    struct error error = {""};
    size_t damaged;
    folder_lock_init(&o->lock, place_folder());
    if (history_create(&o->history, CAPACITY))
        abort();
    if (history_file_open(&o->file, path, &o->lock, o->history, &damaged, &error))
        abort(); /* whatever lies there, it is a file */
}

static void close_history(struct opened *o)
{
    history_file_close(o->file);
    history_destroy(o->history);
    folder_lock_finish(&o->lock);
}

static uint64_t check_order(const struct history *h)
{
    uint64_t last = 0;
    for (size_t i = 0; i < history_count(h); i++) {
        const struct history_entry *e = history_at(h, i);
        if (e->id <= last || !e->text)
            abort();
        last = e->id;
    }
    return last;
}

static void check_same(const struct history_entry *a, const struct history_entry *b)
{
    const char *reply = a->reply ? a->reply : "", *other = b->reply ? b->reply : "";
    if (a->id != b->id || a->start_us != b->start_us || a->end_us != b->end_us ||
        strcmp(a->text, b->text) != 0 || strcmp(reply, other) != 0)
        abort();
}

static void add(struct opened *o, uint64_t last)
{
    enum history_file_fate fate;
    if (last >= INT64_MAX || history_add(o->history, last + 1, 1, 2, "a tab\t, a line\n") ||
        history_set_reply(o->history, last + 1, "\\") ||
        history_file_write(o->file, history_count(o->history) - 1, &fate))
        return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = place_write(data, size);
    struct opened first, again;
    open_history(&first, path);
    add(&first, check_order(first.history));
    history_file_close(first.file);
    first.file = NULL;
    open_history(&again, path);
    check_order(again.history);
    if (history_count(again.history) != history_count(first.history))
        abort();
    for (size_t i = 0; i < history_count(first.history); i++)
        check_same(history_at(first.history, i), history_at(again.history, i));
    close_history(&again);
    close_history(&first);
    return 0;
}
