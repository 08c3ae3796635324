/* What the assistant has in the state folder: the history and saved conversations. Main thread. */
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "daemon/assistant_private.h"
#include "daemon/places.h"
#include "daemon/saved_states.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void warn_of_another(const struct assistant *a)
{
    if (a->config.keep_history || a->config.resume)
        log_warning("%s: another earshotd has it too: the conversation is not gone on with and not "
                    "saved, the history is appended to by both",
                    a->folder.path);
}

/* Whoever comes first makes the folder, so that the next one sees that there is one. */
static void join_folder(struct assistant *a)
{
    char path[PATH_MAX] = "";
    paths_state(path, sizeof path);
    if (*path && (a->config.keep_history || a->config.resume))
        paths_make_folders(path);
    folder_lock_init(&a->folder, path);
    a->owns_conversation = folder_lock_is_first(&a->folder);
    if (!a->owns_conversation) {
        warn_of_another(a);
        return;
    }
    size_t count = file_sweep(path, "history*") + file_sweep(path, "*.state");
    if (count)
        log_info("%s: deleted %zu files that a daemon was writing when it was killed", path, count);
}

/* A named ear has a file of its own beside that of the microphone. */
static int open_history_file(struct assistant *a, struct error *error)
{
    struct folder_lock *folder = a->beside ? &a->beside->folder : &a->folder;
    char path[PATH_MAX + 64];
    size_t damaged;
    snprintf(path, sizeof path, "%s/history%s%s", folder->path, a->beside ? "-" : "",
             a->beside ? a->history_name : "");
    int rc = history_file_open(&a->history_file, path, folder, a->history, &damaged, error);
    if (rc == -ENOMEM)
        return rc;
    a->told_unwritten = rc != 0;
    if (rc)
        log_error("the history is not on disk: %s; it will be as soon as it can be written",
                  error->message);
    if (damaged)
        log_warning("%s: %zu lines are damaged and left out", path, damaged);
    return 0;
}

int assistant_open_folder(struct assistant *a, struct error *error)
{
    folder_lock_init(&a->folder, "");
    int rc = history_create(&a->history, (size_t)a->config.history);
    if (rc)
        return error_set(error, rc, "the history: %s", strerror(-rc));
    if (!a->settings && !a->beside)
        return 0;
    if (a->settings)
        join_folder(a);
    return a->config.keep_history ? open_history_file(a, error) : 0;
}

void assistant_write_history(struct assistant *a, uint64_t id)
{
    enum history_file_fate fate;
    if (!a->history_file)
        return;
    int rc = history_file_write(a->history_file, history_after(a->history, id - 1), &fate);
    if (rc && !a->told_unwritten)
        log_error("the history is not on disk: %s; it will be as soon as it can be written",
                  strerror(-rc));
    if (!rc && fate != HISTORY_FILE_WHOLE)
        log_warning("the history was %s while it was in use: it is written anew",
                    fate == HISTORY_FILE_GONE ? "deleted or replaced" : "changed");
    if (!rc && a->told_unwritten)
        log_info("the history is on disk again");
    a->told_unwritten = rc != 0;
}

static void append_state(DBusMessageIter *array, const struct saved_state *s)
{
    DBusMessageIter row;
    dbus_message_iter_open_container(array, DBUS_TYPE_STRUCT, NULL, &row);
    bus_append_text(&row, s->name);
    dbus_message_iter_append_basic(&row, DBUS_TYPE_UINT64, &s->bytes);
    dbus_message_iter_append_basic(&row, DBUS_TYPE_INT64, &s->saved_us);
    dbus_message_iter_close_container(array, &row);
}

DBusMessage *assistant_list_states(void *assistant, DBusMessage *call)
{
    char folder[PATH_MAX] = "";
    struct saved_state *list;
    struct error error;
    DBusMessageIter out, array;
    size_t count;
    (void)assistant; /* a stream has the same */
    paths_state(folder, sizeof folder);
    if (saved_states_list(folder, &list, &count, &error))
        return assistant_error(call, "Failed", error.message);
    DBusMessage *reply = dbus_message_new_method_return(call);
    if (reply) {
        dbus_message_iter_init_append(reply, &out);
        dbus_message_iter_open_container(&out, DBUS_TYPE_ARRAY, "(stx)", &array);
        for (size_t i = 0; i < count; i++)
            append_state(&array, &list[i]);
        dbus_message_iter_close_container(&out, &array);
    }
    free(list);
    return reply;
}

DBusMessage *assistant_delete_state(void *assistant, DBusMessage *call)
{
    char path[PATH_MAX];
    struct error error;
    const char *name = "";
    (void)assistant;
    dbus_message_get_args(call, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID);
    int rc = places_saved_state(name, path, sizeof path, &error);
    if (rc)
        return assistant_error(call, rc == -EINVAL ? "InvalidArgument" : "Failed", error.message);
    if (unlink(path) == 0)
        return dbus_message_new_method_return(call);
    rc = -errno;
    error_set(&error, rc, "%s: %s", name, rc == -ENOENT ? "no such conversation" : strerror(-rc));
    return assistant_error(call, rc == -ENOENT ? "NotFound" : "Failed", error.message);
}
