/* earshot-overlay: the captions of what is being said, in a window above all others. A client of
 * the daemon like any other, of docs/dbus.md and nothing else. */
#include "base/core_dump.h"
#include "overlay/actions.h"

#include <errno.h>
#include <getopt.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    NOTICE_S = 8, /* for so long the answer to a setting that was refused is seen */
};

static void show_change(struct overlay *o, struct captions_change change)
{
    view_take(window_view(o->window), &o->captions, change);
}

static void updated(void *user, uint64_t id, enum caption_kind kind, unsigned seq,
                    size_t stable_bytes, const char *text)
{
    struct overlay *o = user;
    show_change(o, captions_update(&o->captions, id, kind, seq, stable_bytes, text));
}

static void completed(void *user, uint64_t id, enum caption_kind kind, const char *text,
                      double confidence, const struct caption_word *words, size_t count)
{
    struct overlay *o = user;
    show_change(o, captions_complete(&o->captions, id, kind, text, confidence, words, count));
}

static void lost(void *user)
{
    struct overlay *o = user;
    struct captions_change change;
    while ((change = captions_lose(&o->captions)).what != CAPTIONS_SAME)
        show_change(o, change);
}

/* Where the daemon has named some, and has none any more, they are what earshot devices says. */
static void follow_microphones(struct overlay *o)
{
    GVariant *microphones = ear_microphones(o->ear);
    if ((microphones && g_variant_n_children(microphones)) || o->menu.microphones)
        menu_list_devices(&o->menu, microphones);
}

static void show_state(void *user)
{
    struct overlay *o = user;
    if (!o->ear) /* it is being made */
        return;
    follow_microphones(o);
    actions_follow(o);
    if (!o->notice)
        window_set_status(o->window, ear_waits(o->ear));
}

static gboolean end_notice(void *user)
{
    struct overlay *o = user;
    o->notice = 0;
    show_state(o);
    return G_SOURCE_REMOVE;
}

static void refused(void *user, const char *what)
{
    struct overlay *o = user;
    if (o->notice)
        g_source_remove(o->notice);
    o->notice = g_timeout_add_seconds(NOTICE_S, end_notice, o);
    actions_follow(o);
    window_set_status(o->window, what);
}

static const struct ear_events events = {
    .updated = updated,
    .completed = completed,
    .lost = lost,
    .changed = show_state,
    .refused = refused,
};

static void contrast_changed(void *user)
{
    struct overlay *o = user;
    if (o->window)
        actions_apply(o);
}

static void activate(GApplication *application, void *user)
{
    struct overlay *o = user;
    (void)application;
    if (o->window) /* another was started, which ends */
        return;
    captions_init(&o->captions);
    menu_init(&o->menu);
    actions_add(o);
    o->look = look_create(gdk_display_get_default(), contrast_changed, o);
    look_apply(o->look, &o->settings);
    o->window = window_create(o->application, o->way, &o->settings, G_MENU_MODEL(o->menu.model));
    view_set_contrast(window_view(o->window), look_is_contrasty(o->look));
    o->ear = ear_create(o->bus, o->settings.sound, &events, o);
    show_state(o);
    menu_list_devices(&o->menu, NULL);
}

static void finish(struct overlay *o)
{
    if (o->notice)
        g_source_remove(o->notice);
    ear_destroy(o->ear);
    window_destroy(o->window);
    look_destroy(o->look);
    menu_finish(&o->menu);
    captions_finish(&o->captions);
}

static gboolean end_asked(void *user)
{
    struct overlay *o = user;
    g_action_group_activate_action(G_ACTION_GROUP(o->application), "quit", NULL);
    return G_SOURCE_CONTINUE;
}

/* For those who want to know what it costs. */
static gboolean frames_asked(void *user)
{
    struct overlay *o = user;
    if (o->window)
        printf("%u frames, %d pixels above\n", window_frames(o->window),
               view_pixels_above(window_view(o->window)));
    fflush(stdout);
    return G_SOURCE_CONTINUE;
}

/* A second one ends at once, or ends the first. */
static int answer_second(struct overlay *o, bool toggle)
{
    GDBusConnection *bus = g_application_get_dbus_connection(G_APPLICATION(o->application));
    if (!toggle) {
        error_print("earshot-overlay: the captions are shown already; --toggle ends them");
        return EXIT_DONE;
    }
    g_action_group_activate_action(G_ACTION_GROUP(o->application), "quit", NULL);
    g_dbus_connection_flush_sync(bus, NULL, NULL);
    return EXIT_DONE;
}

static int show(struct overlay *o, bool toggle)
{
    GError *error = NULL;
    char *nothing[] = {"earshot-overlay", NULL};
    o->application = gtk_application_new("org.earshot.Overlay", (GApplicationFlags)0);
    settings_read(&o->settings);
    g_set_prgname("org.earshot.Overlay");
    g_set_application_name("Earshot captions");
    g_signal_connect(o->application, "activate", G_CALLBACK(activate), o);
    if (!g_application_register(G_APPLICATION(o->application), NULL, &error)) {
        error_print("earshot-overlay: %s", error->message);
        return EXIT_FAILED;
    }
    if (g_application_get_is_remote(G_APPLICATION(o->application)))
        return answer_second(o, toggle);
    g_unix_signal_add(SIGTERM, end_asked, o);
    g_unix_signal_add(SIGINT, end_asked, o);
    g_unix_signal_add(SIGUSR1, frames_asked, o);
    int code = g_application_run(G_APPLICATION(o->application), 1, nothing);
    finish(o);
    g_object_unref(o->application);
    return code ? EXIT_FAILED : EXIT_DONE;
}

static void help(FILE *out)
{
    fputs("Usage: earshot-overlay [OPTION]...\n"
          "Shows what is being said in a window above all others.\n\n"
          "  --way WAY              how it stays on top; without it the first that works\n"
          "  --how                  show the ways, which one is taken, and why others are not\n"
          "  --toggle               end the one that is shown, if there is one\n"
          "  --bus BUS              the D-Bus to use: session (default), system or an address\n"
          "  --version              show the version\n"
          "  --help                 show this help\n",
          out);
}

enum {
    OPTION_WAY = 256,
    OPTION_HOW,
    OPTION_TOGGLE,
    OPTION_VERSION,
};

static const struct option longs[] = {
    {"way", required_argument, NULL, OPTION_WAY},
    {"how", no_argument, NULL, OPTION_HOW},
    {"toggle", no_argument, NULL, OPTION_TOGGLE},
    {"bus", required_argument, NULL, 'b'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL},
};

struct options {
    const char *way, *bus;
    bool how, toggle;
};

/* -1: go on; else the exit code. */
static int read_options(int argc, char **argv, struct options *options)
{
    for (int c; (c = getopt_long(argc, argv, "+h", longs, NULL)) != -1;) {
        if (c == OPTION_WAY)
            options->way = optarg;
        else if (c == OPTION_HOW)
            options->how = true;
        else if (c == OPTION_TOGGLE)
            options->toggle = true;
        else if (c == 'b')
            options->bus = optarg;
        else if (c == OPTION_VERSION)
            return puts("earshot-overlay " EARSHOT_VERSION) < 0;
        else {
            help(c == 'h' ? stdout : stderr);
            return c == 'h' ? EXIT_DONE : EXIT_USAGE;
        }
    }
    if (optind < argc) {
        error_print("earshot-overlay: unexpected argument \"%s\"", argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct options options = {.bus = "session"};
    struct error why = {""};
    static struct overlay overlay;
    core_dump_forbid();
    int code = read_options(argc, argv, &options);
    if (code >= 0)
        return code;
    overlay.way = way_choose(options.way, &why);
    overlay.bus = options.bus;
    if (options.how && (!options.way || overlay.way))
        return way_print(options.way) ? EXIT_FAILED : EXIT_DONE;
    if (!overlay.way) {
        error_print("earshot-overlay: %s", why.message);
        return options.way && strstr(why.message, "no such way") ? EXIT_USAGE : EXIT_FAILED;
    }
    /* A few rows of text are drawn in no time without a GPU, and its driver takes 100 MB. */
    setenv("GSK_RENDERER", "cairo", 0);
    overlay.way->prepare(argv);
    return show(&overlay, options.toggle);
}
