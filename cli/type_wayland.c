/* Typing on Wayland by a virtual keyboard of our own (virtual-keyboard-unstable-v1, which wlroots
 * compositors and others have). Its keymap has one key for each character of the text, so that no
 * modifier is pressed. The library is loaded when it is needed: a server without a desktop has
 * none. */
#include "base/utf8.h"
#include "cli/library.h"
#include "cli/sway_focus.h"
#include "cli/type_ways.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wayland-client-core.h>

enum {
    FIRST_KEY = 2, /* of the kernel's codes, which applications know; a keymap has them 8 higher */
    LAST_KEY = 247,
    KEY_BACKSPACE = 14,
    KEY_TAB = 15,
    KEY_ENTER = 28,
    /* A window that does not read so many key strokes loses its connection: so many at once. */
    BURST = 32,
    BURST_US = 2000,
    NOTICE_US = 100000, /* what windows may take to notice a keyboard where there was none */
    FORMAT_XKB_V1 = 1,
};

/* The number of requests in their interfaces. */
enum {
    DISPLAY_GET_REGISTRY = 1,
    REGISTRY_BIND = 0,
    MANAGER_CREATE = 0,
    KEYBOARD_KEYMAP = 0,
    KEYBOARD_KEY = 1,
    KEYBOARD_DESTROY = 3,
};

#define LIBRARY "libwayland-client.so.0"

#define FUNCTIONS(X)                                                                               \
    X(wl_display_connect)                                                                          \
    X(wl_display_disconnect)                                                                       \
    X(wl_display_roundtrip)                                                                        \
    X(wl_proxy_add_listener)                                                                       \
    X(wl_proxy_destroy)                                                                            \
    X(wl_proxy_marshal)                                                                            \
    X(wl_proxy_marshal_constructor)                                                                \
    X(wl_proxy_marshal_constructor_versioned)

struct wayland {
#define FIELD(name) __typeof__(&name) name;
    FUNCTIONS(FIELD)
#undef FIELD
    const struct wl_interface *registry_interface, *seat_interface; /* of the library */
    struct wl_display *display;
    struct wl_proxy *registry, *seat, *manager, *keyboard;
    uint32_t characters[LAST_KEY + 1]; /* of each key; 0: none */
};

/* The keyboard stays while the process does: where the seat has no other, windows give up theirs
 * when it goes, and lose the keys of the next one until they have noticed it. */
static struct wayland kept;

static const struct wl_interface *no_types[4];

static const struct wl_message keyboard_requests[] = {
    {"keymap", "uhu", no_types},
    {"key", "uuu", no_types},
    {"modifiers", "uuuu", no_types},
    {"destroy", "", no_types},
};

static const struct wl_interface keyboard_interface = {
    "zwp_virtual_keyboard_v1", 1, 4, keyboard_requests, 0, NULL,
};

/* A seat of any type, and what is made. */
static const struct wl_interface *create_types[] = {NULL, &keyboard_interface};

static const struct wl_message manager_requests[] = {
    {"create_virtual_keyboard", "on", create_types},
};

static const struct wl_interface manager_interface = {
    "zwp_virtual_keyboard_manager_v1", 1, 1, manager_requests, 0, NULL,
};

static int load(struct wayland *w, struct error *why)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return error_set(why, -ENOENT,
                         "the library " LIBRARY " is missing; install libwayland-client0");
#define FIND(name)                                                                                 \
    if (!library_find(library, #name, &w->name))                                                   \
        return error_set(why, -ENOTSUP, LIBRARY " has no " #name "; install another");
    FUNCTIONS(FIND)
#undef FIND
    if (library_find(library, "wl_registry_interface", &w->registry_interface) &&
        library_find(library, "wl_seat_interface", &w->seat_interface))
        return 0;
    return error_set(why, -ENOTSUP, LIBRARY " has no seats; install another");
}

/* What the compositor has. */
static void take_global(void *user, struct wl_proxy *registry, uint32_t name, const char *interface,
                        uint32_t version)
{
    struct wayland *w = user;
    bool seat = strcmp(interface, w->seat_interface->name) == 0;
    struct wl_proxy **to = seat ? &w->seat : &w->manager;
    const struct wl_interface *type = seat ? w->seat_interface : &manager_interface;
    (void)version;
    if (!*to && strcmp(interface, type->name) == 0)
        *to = w->wl_proxy_marshal_constructor_versioned(registry, REGISTRY_BIND, type, 1, name,
                                                        type->name, 1, NULL);
}

static void take_removal(void *user, struct wl_proxy *registry, uint32_t name)
{
    (void)user;
    (void)registry;
    (void)name;
}

static void finish(struct wayland *w)
{
    struct wl_proxy *proxies[] = {w->keyboard, w->manager, w->seat, w->registry};
    if (w->keyboard)
        w->wl_proxy_marshal(w->keyboard, KEYBOARD_DESTROY);
    for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++)
        if (proxies[i])
            w->wl_proxy_destroy(proxies[i]);
    if (!w->display)
        return;
    w->wl_display_roundtrip(w->display);
    w->wl_display_disconnect(w->display);
    *w = (struct wayland){.display = NULL};
}

static void find_globals(struct wayland *w)
{
    static void (*const listener[])(void) = {(void (*)(void))take_global,
                                             (void (*)(void))take_removal};
    w->registry = w->wl_proxy_marshal_constructor(
        (struct wl_proxy *)w->display, DISPLAY_GET_REGISTRY, w->registry_interface, NULL);
    if (!w->registry)
        return;
    w->wl_proxy_add_listener(w->registry, (void (**)(void))(uintptr_t)listener, w);
    w->wl_display_roundtrip(w->display);
}

static int start(struct wayland *w, struct error *why)
{
    int rc = load(w, why);
    if (rc)
        return rc;
    w->display = w->wl_display_connect(NULL);
    if (!w->display)
        return error_set(why, -ECONNREFUSED,
                         "the compositor does not answer; see WAYLAND_DISPLAY and XDG_RUNTIME_DIR");
    find_globals(w);
    if (w->seat && w->manager)
        w->keyboard = w->wl_proxy_marshal_constructor(w->manager, MANAGER_CREATE,
                                                      &keyboard_interface, w->seat, NULL);
    if (w->keyboard && w->wl_display_roundtrip(w->display) >= 0) {
        usleep(NOTICE_US);
        return 0;
    }
    finish(w);
    return error_set(why, -ENOTSUP,
                     "the compositor lets nobody make a virtual keyboard (Sway, labwc and Hyprland "
                     "do); use ydotool");
}

/* Sees that the kept keyboard is there, which a compositor that was started anew does not know. */
static int reach(struct wayland *w, struct error *why)
{
    if (w->keyboard && w->wl_display_roundtrip(w->display) < 0)
        finish(w);
    return w->keyboard ? 0 : start(w, why);
}

static int probe(struct error *why)
{
    if (!getenv("WAYLAND_DISPLAY"))
        return error_set(why, -ENOTSUP, "no Wayland session: WAYLAND_DISPLAY is not set");
    return reach(&kept, why);
}

/* Keys that applications take for something else whatever the keymap says: modifiers, Esc. */
static bool is_special(int key)
{
    static const unsigned char special[] = {
        KEY_BACKSPACE, KEY_TAB, KEY_ENTER, 29, 42, 54, 56, 58, 97, 100, 125, 126};
    return memchr(special, key, sizeof special) != NULL;
}

/* The key of the character, which gets one where it has none; 0: there are no more. */
static int key_of(struct wayland *w, uint32_t character)
{
    if (character == '\n' || character == '\t')
        return character == '\n' ? KEY_ENTER : KEY_TAB;
    for (int key = FIRST_KEY; key <= LAST_KEY; key++) {
        if (is_special(key))
            continue;
        if (!w->characters[key])
            w->characters[key] = character;
        if (w->characters[key] == character)
            return key;
    }
    return 0;
}

/* The character at *at, which moves behind it. */
static uint32_t next_character(const char **at)
{
    size_t size = utf8_size(*at);
    uint32_t character = (unsigned char)**at & (size <= 1 ? 0x7f : 0xff >> (size + 1));
    for (size_t i = 1; i < size; i++)
        character = character << 6 | ((unsigned char)(*at)[i] & 0x3f);
    *at += size ? size : 1;
    return character;
}

static void write_keymap(const struct wayland *w, FILE *out)
{
    fprintf(out, "xkb_keymap {\nxkb_keycodes {\nminimum = 8;\nmaximum = 255;\n");
    for (int key = FIRST_KEY; key <= LAST_KEY; key++)
        fprintf(out, "<K%d> = %d;\n", key, key + 8);
    fprintf(out, "};\nxkb_types {\n};\nxkb_compatibility {\n};\nxkb_symbols {\n");
    fprintf(out, "key <K%d> {[BackSpace]};\n", KEY_BACKSPACE);
    fprintf(out, "key <K%d> {[Tab]};\nkey <K%d> {[Return]};\n", KEY_TAB, KEY_ENTER);
    for (int key = FIRST_KEY; key <= LAST_KEY; key++)
        if (w->characters[key])
            fprintf(out, "key <K%d> {[U%04X]};\n", key, w->characters[key]);
    fprintf(out, "};\n};\n");
    fputc('\0', out);
}

/* 0 or -errno. */
static int send_keymap(struct wayland *w)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return -errno;
    write_keymap(w, out);
    fclose(out);
    int fd = memfd_create("earshot-keymap", MFD_CLOEXEC);
    int rc = fd < 0 || write(fd, text, size) != (ssize_t)size ? -EIO : 0;
    if (!rc)
        w->wl_proxy_marshal(w->keyboard, KEYBOARD_KEYMAP, FORMAT_XKB_V1, fd, (uint32_t)size);
    if (!rc && w->wl_display_roundtrip(w->display) < 0)
        rc = -EPROTO;
    if (fd >= 0)
        close(fd);
    free(text);
    return rc;
}

/* Presses and releases a key, the pressed-th. 0 or -EPIPE. */
static int press(const struct wayland *w, int key, size_t *pressed)
{
    uint32_t ms = (uint32_t)*pressed;
    w->wl_proxy_marshal(w->keyboard, KEYBOARD_KEY, ms, (uint32_t)key, 1);
    w->wl_proxy_marshal(w->keyboard, KEYBOARD_KEY, ms, (uint32_t)key, 0);
    if (++*pressed % BURST)
        return 0;
    usleep(BURST_US);
    return w->wl_display_roundtrip(w->display) < 0 ? -EPIPE : 0;
}

static int press_all(struct wayland *w, size_t backspaces, const char *text)
{
    size_t pressed = 0;
    int rc = 0;
    for (size_t i = 0; i < backspaces && !rc; i++)
        rc = press(w, KEY_BACKSPACE, &pressed);
    while (*text && !rc)
        rc = press(w, key_of(w, next_character(&text)), &pressed);
    return rc || w->wl_display_roundtrip(w->display) >= 0 ? rc : -EPIPE;
}

static int type(size_t backspaces, const char *text, struct error *error)
{
    struct wayland *w = &kept;
    bool enough = true;
    int rc = reach(w, error);
    if (rc)
        return rc;
    memset(w->characters, 0, sizeof w->characters);
    for (const char *at = text; *at && enough;)
        enough = key_of(w, next_character(&at)) != 0;
    if (!enough)
        return error_set(error, -ENOTSUP, "the text has too many different characters");
    rc = send_keymap(w);
    if (!rc)
        rc = press_all(w, backspaces, text);
    if (!rc)
        return 0;
    finish(w);
    return error_set(error, rc, "the compositor takes no keys: %s", strerror(-rc));
}

const struct type_way type_wayland = {
    .name = "wayland",
    .what = "virtual keyboard of the compositor",
    .probe = probe,
    .type = type,
    .focus = sway_focus,
};
