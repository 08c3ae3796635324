/* What the commands of the client share: their options, the connection to the bus, calls. */
#ifndef EARSHOT_CLI_BUS_CLIENT_H
#define EARSHOT_CLI_BUS_CLIENT_H

#include "cli/bus_link.h"

#include <dbus/dbus.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define BUS_CLIENT_NAME "org.earshot.Earshot1"
#define BUS_CLIENT_OBJECT "/org/earshot/Earshot1"
#define BUS_CLIENT_EARS BUS_CLIENT_OBJECT "/ears/" /* and a name */
#define BUS_CLIENT_INTERFACE "org.earshot.Earshot1.Assistant"

enum {
    BUS_CLIENT_OPTIONS_MAX = 12,
};

struct bus_client_option {
    const char *name;  /* without the dashes; NULL ends a list */
    const char *value; /* what help calls its value; NULL: it has none */
    const char *help;
};

struct bus_client {
    const char *command;
    const char *bus;  /* "session", "system" or an address */
    char object[128]; /* of one of the ears beside the microphone's, or a stream; empty: that's */
    char **words;     /* what follows the options, ends with NULL */
    int word_count;
    const char *given[BUS_CLIENT_OPTIONS_MAX]; /* of the command's options; NULL: was not given */
    struct bus_link *link;                     /* NULL until something is sent */
    bool all_ears;                             /* bus_client_follow has the signals of all */
    int answer_ms;   /* how long bus_client_answer waits; 0: as long as a reply may take */
    int patience_ms; /* how long bus_client_follow waits for another daemon; -1: for ever */
    const sigset_t *waits_in; /* the signal mask while it waits for messages; NULL: as it is */
    sigset_t wait_mask;       /* of bus_client_wait_for */
};

/* Connects and finds the daemon, if that has not happened; false with the error. */
bool bus_client_connect(struct bus_client *c, DBusError *e);
void bus_client_finish(struct bus_client *c);

/* Says why on stderr, and frees the error; EXIT_FAILED. */
int bus_client_fail(const struct bus_client *c, DBusError *e);

/* From now on everything goes to the ear of this name. False, said: none can be called so. */
bool bus_client_choose(struct bus_client *c, const char *name);

/* The path of the object that everything goes to. */
const char *bus_client_object(const struct bus_client *c);

/* The name in the path of an ear's object, "" in that of the microphone's; NULL: of another. */
const char *bus_client_ear_of(const char *path);

/* A call of a method of the object of the client's ear, to append the arguments to. */
DBusMessage *bus_client_call(const char *interface, const char *member, DBusMessageIter *args);
void bus_client_append_string(DBusMessageIter *args, const char *text);
/* {key: value} of a dictionary a{sv}; signature: of the value, type: its basic type. */
void bus_client_append_entry(DBusMessageIter *dictionary, const char *key, int type,
                             const char *signature, const void *value);

/* A call that sets a property of the assistant; signature: of the value, type: its basic type. */
DBusMessage *bus_client_set(const char *property, int type, const char *signature,
                            const void *value);

/* Sends and releases the call; the answer, or NULL with the error. */
DBusMessage *bus_client_answer(struct bus_client *c, DBusMessage *call, DBusError *e);

/* The same, of an answer that has this signature; of another there is an error. */
DBusMessage *bus_client_answer_of(struct bus_client *c, DBusMessage *call, const char *signature,
                                  DBusError *e);

/* The same, where the answer tells nothing: EXIT_DONE, or an exit code, said. */
int bus_client_send(struct bus_client *c, DBusMessage *call);

/* Whether a call failed as the daemon was gone, which bus_client_follow is about to see. */
bool bus_client_is_gone(const DBusError *e);

typedef void bus_client_entry(void *user, const char *name, DBusMessageIter *value);

/* Calls each with the properties of the client's ear; false with the error. */
bool bus_client_properties(struct bus_client *c, bus_client_entry *each, void *user, DBusError *e);

/* Takes one signal, or NULL: at first, once all that came are taken, and when none came in time. 0:
 * go on; else the exit code to end with. */
typedef int bus_client_take(void *user, DBusMessage *m);

/* From now on these signals come while the command waits for messages, and at no other time. They
 * end the wait, so that take is called with NULL, and do nothing else unless they get a handler
 * behind this. */
void bus_client_wait_for(struct bus_client *c, const int *signals, size_t count);

/* Calls take with the signals of the client's ear (all_ears: of all objects of the daemon), and of
 * other names that were subscribed to, that their owners sent; timeout_ms -1: waits for them at any
 * length. Returns its exit code; EXIT_FAILED when the output is lost, which main() says, and, said
 * here, when the daemon is not there, when the bus is gone, or the daemon for longer than
 * patience_ms. */
int bus_client_follow(struct bus_client *c, int timeout_ms, bus_client_take *take, void *user);

/* Whether it is this signal of the daemon's. */
bool bus_client_is_signal(DBusMessage *m, const char *member);
/* Whether it tells that another daemon is there, or none. */
bool bus_client_is_change(DBusMessage *m, bool *there);

/* The variant's number, whatever its type; false: it has none. */
bool bus_client_number(DBusMessageIter *variant, double *value);

/* Calls each with the entries of a dictionary a{sv}, or of one of numbers, a{sd}. */
void bus_client_each(DBusMessageIter *dictionary, bus_client_entry *each, void *user);
/* The same for the dictionaries among the arguments of a signal. */
void bus_client_details(DBusMessage *m, bus_client_entry *each, void *user);

#endif
