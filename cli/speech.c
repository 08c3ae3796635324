/* Speech Dispatcher's client library has a thread of its own, which tells what is over: that
 * counts, and wakes the main thread. */
#include "cli/speech.h"

#include "cli/library.h"

#include <errno.h>
#include <fcntl.h>
#include <libspeechd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIBRARY "libspeechd.so.2"

#define FUNCTIONS(X)                                                                               \
    X(spd_cancel)                                                                                  \
    X(spd_close)                                                                                   \
    X(spd_open2)                                                                                   \
    X(spd_say)                                                                                     \
    X(spd_set_notification_on)

static struct speech {
#define FIELD(name) __typeof__(&name) name;
    FUNCTIONS(FIELD)
#undef FIELD
    SPDConnection *connection; /* NULL: none */
    int probe;                 /* its socket once more: the library closes its own */
    pthread_t listener;        /* the main thread */
    atomic_int left;           /* texts that are not over */
} speech;

static int load(struct error *error)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return error_set(error, -ENOENT,
                         "the library " LIBRARY " is missing; install it (Debian: libspeechd2)");
#define FIND(name)                                                                                 \
    if (!library_find(library, #name, &speech.name))                                               \
        return error_set(error, -ENOTSUP, LIBRARY " has no " #name "; install another");
    FUNCTIONS(FIND)
#undef FIND
    return 0;
}

/* The library's thread. */
static void on_over(size_t message, size_t client, SPDNotificationType type)
{
    (void)message;
    (void)client;
    (void)type;
    atomic_fetch_sub(&speech.left, 1);
    pthread_kill(speech.listener, SPEECH_SIGNAL);
}

static int connect_to(struct error *error)
{
    char *why = NULL;
    speech.connection =
        speech.spd_open2("earshot", "speak", NULL, SPD_MODE_THREADED, NULL, 1, &why);
    if (!speech.connection)
        error_set(error, 0, "Speech Dispatcher: %s; is it installed? (Debian: speech-dispatcher)",
                  why ? why : "no connection");
    free(why);
    if (!speech.connection)
        return -ECONNREFUSED;
    speech.probe = fcntl(speech.connection->socket, F_DUPFD_CLOEXEC, 0);
    speech.connection->callback_end = on_over;
    speech.connection->callback_cancel = on_over;
    speech.spd_set_notification_on(speech.connection, SPD_END);
    speech.spd_set_notification_on(speech.connection, SPD_CANCEL);
    return 0;
}

int speech_open(struct error *error)
{
    speech.listener = pthread_self();
    int rc = load(error);
    return rc ? rc : connect_to(error);
}

void speech_close(void)
{
    if (!speech.connection)
        return;
    speech.spd_close(speech.connection);
    if (speech.probe >= 0)
        close(speech.probe);
    speech.connection = NULL;
    atomic_store(&speech.left, 0);
}

static bool say(const char *text)
{
    if (!speech.connection)
        return false;
    atomic_fetch_add(&speech.left, 1);
    if (speech.spd_say(speech.connection, SPD_MESSAGE, text) >= 0)
        return true;
    atomic_fetch_sub(&speech.left, 1);
    return false;
}

int speech_say(const char *text, struct error *error)
{
    if (say(text))
        return 0;
    speech_close();
    int rc = connect_to(error);
    if (!rc && !say(text))
        rc = error_set(error, -EIO, "Speech Dispatcher does not take a text");
    return rc;
}

void speech_cancel(void)
{
    if (speech.connection)
        speech.spd_cancel(speech.connection);
}

bool speech_sounds(void)
{
    return atomic_load(&speech.left) > 0;
}

bool speech_has_ended(void)
{
    char byte;
    return speech.connection && recv(speech.probe, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}
