/* Typing on X11, by libxdo and its XTest events. The library is loaded when it is needed: a server
 * without a desktop has none. Its complaints on stderr are about what is asked and handled here. */
#include "base/utf8.h"
#include "cli/quiet.h"
#include "cli/type_ways.h"

#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xdo.h>

enum {
    SPARE_US = 60000,  /* what libxdo waits for each letter, where no key is spare */
    UNICODE = 1 << 24, /* the keysym of a character, but for Latin-1 */
};

#define LIBRARY "libxdo.so.3"

/* What is used of the library. */
struct library {
    __typeof__(&xdo_new_with_opened_display) take;
    __typeof__(&xdo_free) close;
    __typeof__(&xdo_enter_text_window) enter;
    __typeof__(&xdo_send_keysequence_window) press;
    __typeof__(&xdo_get_active_window) active;
    __typeof__(&xdo_get_focused_window) focused;
    __typeof__(&xdo_get_active_modifiers) held;
    __typeof__(&xdo_send_keysequence_window_list_do) send;
    /* Of what it is linked with. */
    __typeof__(&XOpenDisplay) open;
    __typeof__(&XCloseDisplay) hang_up;
    __typeof__(&XDisplayKeycodes) keycodes;
    __typeof__(&XGetKeyboardMapping) mapping;
    __typeof__(&XChangeKeyboardMapping) change;
    __typeof__(&XSync) sync;
    __typeof__(&XFree) free;
    uint32_t (*character)(uint32_t keysym); /* xkb_keysym_to_utf32 */
    Display *server;
    xdo_t *display;
};

/* 0, or a negative number and why not. ISO C has no conversion from a pointer to data to one to a
 * function, hence the copies. */
static int load(struct library *x, struct error *why)
{
#define SYMBOL(name, field)                                                                        \
    {                                                                                              \
        name, offsetof(struct library, field)                                                      \
    }
    static const struct {
        const char *name;
        size_t at;
    } symbols[] = {
        SYMBOL("xdo_new_with_opened_display", take),
        SYMBOL("xdo_free", close),
        SYMBOL("xdo_enter_text_window", enter),
        SYMBOL("xdo_send_keysequence_window", press),
        SYMBOL("xdo_get_active_window", active),
        SYMBOL("xdo_get_focused_window", focused),
        SYMBOL("xdo_get_active_modifiers", held),
        SYMBOL("xdo_send_keysequence_window_list_do", send),
        SYMBOL("XOpenDisplay", open),
        SYMBOL("XCloseDisplay", hang_up),
        SYMBOL("XDisplayKeycodes", keycodes),
        SYMBOL("XGetKeyboardMapping", mapping),
        SYMBOL("XChangeKeyboardMapping", change),
        SYMBOL("XSync", sync),
        SYMBOL("XFree", free),
        SYMBOL("xkb_keysym_to_utf32", character),
    };
#undef SYMBOL
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return error_set(why, -ENOENT, "the library " LIBRARY " is missing; install libxdo3");
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (!symbol)
            return error_set(why, -ENOTSUP, LIBRARY " has no %s; install libxdo3 of Debian",
                             symbols[i].name);
        memcpy((char *)x + symbols[i].at, &symbol, sizeof symbol);
    }
    return 0;
}

static int open_display(struct library *x, struct error *why)
{
    int rc = load(x, why);
    if (rc)
        return rc;
    x->server = x->open(NULL);
    return x->server ? 0
                     : error_set(why, -ECONNREFUSED,
                                 "the X server %s does not answer; see DISPLAY and XAUTHORITY",
                                 getenv("DISPLAY"));
}

/* Reads the keyboard as it is now. 0 or -ENOMEM; the library must be finished. */
static int take_keyboard(struct library *x)
{
    x->display = x->take(x->server, NULL, 1);
    return x->display ? 0 : -ENOMEM;
}

static void finish(struct library *x)
{
    if (x->display)
        x->close(x->display);
    else if (x->server)
        x->hang_up(x->server);
}

static int probe(struct error *why)
{
    struct library x = {.display = NULL};
    if (!getenv("DISPLAY"))
        return error_set(why, -ENOTSUP, "no X11 session: DISPLAY is not set");
    if (getenv("WAYLAND_DISPLAY"))
        return error_set(why, -ENOTSUP,
                         "a Wayland session, of which X11 reaches old programs alone; use another");
    int rc = open_display(&x, why);
    if (!rc)
        finish(&x);
    return rc;
}

/* Lets go of modifiers that somebody holds, the key to talk among them: letters would be commands.
 */
static void release_modifiers(const struct library *x)
{
    charcodemap_t *keys = NULL;
    int count = 0;
    x->held(x->display, &keys, &count);
    if (count > 0)
        x->send(x->display, CURRENTWINDOW, keys, count, False, NULL, 0);
    free(keys);
}

/* The keys of a keyboard. */
struct keys {
    KeySym *symbols; /* [count, width], of XGetKeyboardMapping */
    int first, count, width;
};

static bool has_character(const struct library *x, const struct keys *k, uint32_t character)
{
    for (int i = 0; i < k->count * k->width; i++)
        if (k->symbols[i] && x->character((uint32_t)k->symbols[i]) == character)
            return true;
    return false;
}

static bool is_spare(const struct keys *k, int key)
{
    for (int i = 0; i < k->width; i++)
        if (k->symbols[key * k->width + i])
            return false;
    return true;
}

/* Puts the character on a key that has none. False: none is left. */
static bool add_character(const struct library *x, struct keys *k, uint32_t character)
{
    KeySym symbols[2];
    int key = k->count - 1;
    while (key >= 0 && !is_spare(k, key))
        key--;
    if (key < 0)
        return false;
    symbols[0] = symbols[1] = character < 0x100 ? character : UNICODE | character;
    k->symbols[key * k->width] = symbols[0];
    x->change(x->server, k->first + key, 2, symbols, 1);
    return true;
}

static uint32_t read_character(const char *p, size_t size)
{
    uint32_t character = (unsigned char)p[0] & (size == 1 ? 0x7f : 0xff >> (size + 1));
    for (size_t i = 1; i < size; i++)
        character = character << 6 | ((unsigned char)p[i] & 0x3f);
    return character;
}

/* Sees that the keyboard has every character of the text, and leaves it so: a window may look only
 * after all is typed. False: there are too few spare keys. */
static bool prepare_keyboard(const struct library *x, const char *text)
{
    struct keys k = {.width = 0};
    int last;
    bool good = true;
    x->keycodes(x->server, &k.first, &last);
    k.count = last - k.first + 1;
    k.symbols = x->mapping(x->server, (KeyCode)k.first, k.count, &k.width);
    for (size_t size; k.symbols && good && *text; text += size) {
        size = utf8_size(text);
        uint32_t character = read_character(text, size);
        if (character >= ' ' && !has_character(x, &k, character))
            good = add_character(x, &k, character);
    }
    if (k.symbols)
        x->free(k.symbols);
    x->sync(x->server, False);
    return good;
}

static int press_keys(struct library *x, size_t backspaces, const char *text)
{
    bool prepared = prepare_keyboard(x, text);
    int rc = take_keyboard(x);
    if (rc)
        return rc;
    release_modifiers(x);
    for (size_t i = 0; i < backspaces && !rc; i++)
        rc = x->press(x->display, CURRENTWINDOW, "BackSpace", 0);
    if (!rc && *text)
        rc = x->enter(x->display, CURRENTWINDOW, text, prepared ? 0 : SPARE_US);
    return rc;
}

static int type(size_t backspaces, const char *text, struct error *error)
{
    struct library x = {.display = NULL};
    int rc = open_display(&x, error);
    if (rc)
        return rc;
    setlocale(LC_CTYPE, "C.UTF-8"); /* as libxdo reads the text */
    int saved = quiet_begin();
    int failed = press_keys(&x, backspaces, text);
    finish(&x);
    quiet_end(saved);
    return failed ? error_set(error, -EIO, LIBRARY " cannot type on this X server") : 0;
}

/* The window manager's active window; without such a manager, the one that gets the keys. */
static bool focus(uint64_t *window)
{
    struct library x = {.display = NULL};
    Window found = None;
    if (open_display(&x, NULL))
        return false;
    int saved = quiet_begin();
    if (!take_keyboard(&x) && (x.active(x.display, &found) || !found))
        x.focused(x.display, &found);
    finish(&x);
    quiet_end(saved);
    *window = found == PointerRoot ? 0 : found;
    return true;
}

const struct type_way type_x11 = {
    .name = "x11",
    .what = "XTest, by libxdo",
    .probe = probe,
    .type = type,
    .focus = focus,
};
