/* earshot-ear: a microphone in another room, for earshot-rtp. This file puts it together. It needs
 * neither a daemon nor a bus where it runs. */
#include "base/core_dump.h"
#include "base/log.h"
#include "bridges/ear_gate.h"
#include "bridges/ear_sender.h"
#include "bridges/ear_sound.h"
#include "bridges/options.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BITRATE = 24000,
    DEVICE_BYTES = 256,
    PASSED_FD = 3, /* the first that a service is given */
};

struct settings {
    struct ear_receiver to;
    char device[DEVICE_BYTES];
    unsigned bitrate;
    bool gate;
    struct srtp_keys *keys; /* NULL: packets are plain */
};

struct ear {
    struct settings settings;
    struct ear_sound *sound;
    struct ear_sender *sender;
    struct ear_gate *gate; /* NULL: all is sent */
};

static volatile sig_atomic_t stopped;

static int set_to(void *user, const char *value, struct error *error)
{
    struct settings *s = user;
    return ear_receiver_parse(&s->to, value, error);
}

static int set_device(void *user, const char *value, struct error *error)
{
    struct settings *s = user;
    if (strlen(value) >= sizeof s->device)
        return error_set(error, -EINVAL, "device has more than %d bytes", DEVICE_BYTES - 1);
    snprintf(s->device, sizeof s->device, "%s", value);
    return 0;
}

static int set_bitrate(void *user, const char *value, struct error *error)
{
    struct settings *s = user;
    return options_number("bitrate", value, EAR_BITRATE_LEAST, EAR_BITRATE_MOST, &s->bitrate,
                          error);
}

static int set_silence(void *user, const char *value, struct error *error)
{
    struct settings *s = user;
    s->gate = strcmp(value, "no") == 0;
    return s->gate || strcmp(value, "yes") == 0
               ? 0
               : error_set(error, -EINVAL, "silence is \"%s\"; it is yes or no", value);
}

static int set_key_file(void *user, const char *value, struct error *error)
{
    struct settings *s = user;
    srtp_keys_destroy(s->keys);
    return srtp_keys_read(&s->keys, value, error);
}

static const struct bridge_option options[] = {
    {"to", "HOST[:PORT]", "where earshot-rtp receives; port 5004", set_to, 0},
    {"device", "NAME",
     "the microphone, as `earshot devices` names it; - for standard input,\n"
     "                         16-bit samples at 16 kHz",
     set_device, 0},
    {"bitrate", "BITS", "a second, 6000 to 64000; 24000", set_bitrate, 0},
    {"key-file", "FILE", "its first NAME and KEY are those of this ear (SRTP)", set_key_file, 0},
    {"silence", "YES|NO", "whether silence is sent; yes", set_silence, 0},
    {NULL},
};

static const struct bridge_program program = {
    "earshot-ear",
    "ear",
    "Sends what a microphone hears to earshot-rtp, as Opus over RTP. The command line wins over "
    "the\nfile.",
    options,
};

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* The first time; the second ends the process, whatever hangs. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void pass_on(void *user, const int16_t packet[EAR_PACKET])
{
    struct ear *e = user;
    ear_sender_push(e->sender, packet);
}

/* The socket of the unit earshot-ear.socket (sd_listen_fds(3)). -1: none. */
static int passed_socket(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    bool ours = pid && count && strtol(pid, NULL, 10) == getpid() && strcmp(count, "1") == 0;
    int type;
    socklen_t size = sizeof type;
    if (!ours || getsockopt(PASSED_FD, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_DGRAM)
        return -1;
    return PASSED_FD;
}

/* 0 or -errno with a message. */
static int begin(struct ear *e, struct error *error)
{
    const struct settings *s = &e->settings;
    if (!*s->to.host)
        return error_set(error, -EINVAL,
                         "nobody to send to: --to HOST, or to = HOST in the section [ear] of "
                         "ear.conf");
    int rc = ear_sound_open(&e->sound, s->device, error);
    if (!rc)
        rc = ear_sender_create(&e->sender, &s->to, s->bitrate, passed_socket(),
                               s->keys ? srtp_keys_get(s->keys, 0) : NULL, error);
    if (!rc && s->gate && ear_gate_create(&e->gate))
        rc = error_set(error, -ENOMEM, "out of memory");
    return rc;
}

static int hear(struct ear *e, struct error *error)
{
    int16_t packet[EAR_PACKET];
    int rc = 1;
    log_info("earshot-ear: sends %s to %s, port %s", ear_sound_name(e->sound), e->settings.to.host,
             e->settings.to.port);
    while (!stopped && (rc = ear_sound_read(e->sound, packet, error)) > 0) {
        if (e->gate)
            ear_gate_push(e->gate, packet, pass_on, e);
        else
            pass_on(e, packet);
    }
    return rc < 0 ? rc : 0;
}

int main(int argc, char **argv)
{
    static struct ear e = {.settings = {.bitrate = BITRATE}};
    struct error error = {""};
    core_dump_forbid();
    int status = options_read(&program, argc, argv, &e.settings);
    if (status >= 0)
        return status;
    catch_signals();
    int rc = begin(&e, &error);
    if (!rc)
        rc = hear(&e, &error);
    ear_sender_destroy(e.sender);
    ear_gate_destroy(e.gate);
    ear_sound_close(e.sound);
    srtp_keys_destroy(e.settings.keys);
    if (rc)
        log_error("earshot-ear: %s", error.message);
    return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
