/* What the daemon says of its ear, and in words what it waits for. */
#ifndef EARSHOT_CLI_EAR_STATE_H
#define EARSHOT_CLI_EAR_STATE_H

#include "cli/bus_client.h"

enum {
    EAR_STATE_LOADING = 1, /* as docs/dbus.md has them */
    EAR_STATE_IDLE = 2,
    EAR_STATE_HEARING = 3,
    EAR_STATE_MUTED = 5,
    EAR_STATE_FAILED = 6,
};

struct ear_state {
    double state; /* 0: unknown */
    double progress;
    bool muted;
    char device[256], microphone[256]; /* its name; the same as people know it, where they do */
    bool is_new;                       /* the latter, since device has changed */
    char trouble[512];                 /* why there is none */
};

/* A bus_client_entry: takes a property. */
void ear_state_take(void *ear_state, const char *name, DBusMessageIter *value);

/* The microphone that is open, as people know it, else by its name; empty: none. */
const char *ear_state_microphone(const struct ear_state *s);

/* The name of a State. */
const char *ear_state_name(double state);

/* Why nothing can be heard now, and what to do; false: it can. */
bool ear_state_waits(const struct ear_state *s, char *text, size_t capacity);

#endif
