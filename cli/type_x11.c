/* Typing on X11, by the keys of its XTest extension. The library is loaded when it is needed: a
 * server without a desktop has none. All keys of a text leave at once, and nobody waits between
 * them; so a character that the keyboard lacks gets a key of its own before, and keeps it. */
#include "base/utf8.h"
#include "cli/library.h"
#include "cli/type_ways.h"

#include <X11/XKBlib.h>
#include <X11/Xlib.h>
#include <X11/extensions/XTest.h>
#include <X11/keysym.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMNS = 4,       /* of the two groups of a keyboard, without and with Shift */
    UNICODE = 1 << 24, /* the keysym of a character, but for Latin-1 */
};

#define LIBRARY "libXtst.so.6" /* which is linked with libX11 */
#define CONVERTER "libxkbcommon.so.0"

/* X(function) of all that is used of the libraries. */
#define FUNCTIONS(X)                                                                               \
    X(XChangeKeyboardMapping)                                                                      \
    X(XCloseDisplay)                                                                               \
    X(XDefaultRootWindow)                                                                          \
    X(XDisplayKeycodes)                                                                            \
    X(XFree)                                                                                       \
    X(XFreeModifiermap)                                                                            \
    X(XGetInputFocus)                                                                              \
    X(XGetKeyboardMapping)                                                                         \
    X(XGetModifierMapping)                                                                         \
    X(XGetWindowProperty)                                                                          \
    X(XInternAtom)                                                                                 \
    X(XOpenDisplay)                                                                                \
    X(XQueryKeymap)                                                                                \
    X(XSync)                                                                                       \
    X(XTestFakeKeyEvent)                                                                           \
    X(XTestQueryExtension)                                                                         \
    X(XkbGetState)                                                                                 \
    X(XkbLockGroup)                                                                                \
    X(XkbLockModifiers)

struct x11 {
#define FIELD(name) __typeof__(&name) name;
    FUNCTIONS(FIELD)
#undef FIELD
    uint32_t (*character)(uint32_t keysym); /* xkb_keysym_to_utf32; NULL: Latin-1 alone is known */
    Display *display;
    KeySym *symbols; /* [key_count, width], owned; NULL until they are read */
    int first, key_count, width;
};

/* Where a keysym is on the keyboard. */
struct place {
    int key, group;
    bool shift;
};

static int load(struct x11 *x, struct error *why)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return error_set(why, -ENOENT,
                         "the library " LIBRARY " is missing; install it (Debian: libxtst6)");
#define FIND(name)                                                                                 \
    if (!library_find(library, #name, &x->name))                                                   \
        return error_set(why, -ENOTSUP, LIBRARY " has no " #name "; install another");
    FUNCTIONS(FIND)
#undef FIND
    library_find(dlopen(CONVERTER, RTLD_NOW | RTLD_LOCAL), "xkb_keysym_to_utf32", &x->character);
    return 0;
}

static void finish(struct x11 *x)
{
    if (x->symbols)
        x->XFree(x->symbols);
    if (x->display)
        x->XCloseDisplay(x->display);
}

static int start(struct x11 *x, struct error *why)
{
    int ignored;
    *x = (struct x11){.display = NULL};
    int rc = load(x, why);
    if (rc)
        return rc;
    x->display = x->XOpenDisplay(NULL);
    if (!x->display)
        return error_set(why, -ECONNREFUSED,
                         "the X server %s does not answer; see DISPLAY and XAUTHORITY",
                         getenv("DISPLAY"));
    if (x->XTestQueryExtension(x->display, &ignored, &ignored, &ignored, &ignored))
        return 0;
    finish(x);
    return error_set(why, -ENOTSUP, "the X server has no XTest extension; use ydotool");
}

static int probe(struct error *why)
{
    struct x11 x;
    if (!getenv("DISPLAY"))
        return error_set(why, -ENOTSUP, "no X11 session: DISPLAY is not set");
    if (getenv("WAYLAND_DISPLAY"))
        return error_set(why, -ENOTSUP,
                         "a Wayland session, of which X11 reaches old programs alone; use another");
    int rc = start(&x, why);
    if (!rc)
        finish(&x);
    return rc;
}

static int read_keyboard(struct x11 *x)
{
    int last;
    x->XDisplayKeycodes(x->display, &x->first, &last);
    x->key_count = last - x->first + 1;
    x->symbols = x->XGetKeyboardMapping(x->display, (KeyCode)x->first, x->key_count, &x->width);
    return x->symbols ? 0 : -ENOMEM;
}

static KeySym symbol_at(const struct x11 *x, int key, int column)
{
    return x->symbols[key * x->width + column];
}

/* The character that a keysym writes; 0: none. The keypad is left alone: Num Lock changes it. */
static uint32_t character_of(const struct x11 *x, KeySym symbol)
{
    if (symbol >= XK_KP_Space && symbol <= XK_KP_Equal)
        return 0;
    if (symbol <= 0xff || !x->character)
        return symbol <= 0xff ? (uint32_t)symbol : 0;
    return x->character((uint32_t)symbol);
}

/* The key of a keysym, or where that is 0 of a character; false: there is none. */
static bool find_place(const struct x11 *x, KeySym symbol, uint32_t character, struct place *place)
{
    for (int column = 0; column < COLUMNS && column < x->width; column++)
        for (int key = 0; key < x->key_count; key++) {
            KeySym at = symbol_at(x, key, column);
            if (!at || (symbol ? at != symbol : character_of(x, at) != character))
                continue;
            *place = (struct place){x->first + key, column / 2, column % 2};
            return true;
        }
    return false;
}

static bool is_spare(const struct x11 *x, int key)
{
    for (int column = 0; column < x->width; column++)
        if (symbol_at(x, key, column))
            return false;
    return true;
}

/* Puts the character on a key that has none. False: there is no such key. */
static bool add_character(const struct x11 *x, uint32_t character)
{
    KeySym symbol = character < 0x100 ? character : UNICODE | character;
    KeySym symbols[2] = {symbol, symbol};
    int key = x->key_count - 1;
    while (key >= 0 && !is_spare(x, key))
        key--;
    if (key < 0)
        return false;
    for (int column = 0; column < x->width && column < 2; column++)
        x->symbols[key * x->width + column] = symbol;
    x->XChangeKeyboardMapping(x->display, x->first + key, 2, symbols, 1);
    return true;
}

static uint32_t read_character(const char *p, size_t size)
{
    uint32_t character = (unsigned char)p[0] & (size == 1 ? 0x7f : 0xff >> (size + 1));
    for (size_t i = 1; i < size; i++)
        character = character << 6 | ((unsigned char)p[i] & 0x3f);
    return character;
}

/* Where the character is, which gets a key if it has none. */
static bool place_character(struct x11 *x, uint32_t character, struct place *place)
{
    KeySym symbol = character == '\n' ? XK_Return : character == '\t' ? XK_Tab : 0;
    return find_place(x, symbol, character, place) ||
           (!symbol && add_character(x, character) && find_place(x, 0, character, place));
}

/* Lets go of modifiers that somebody holds, those of a key to talk among them: letters would be
 * commands. */
static void release_modifiers(const struct x11 *x)
{
    char pressed[32];
    XModifierKeymap *map = x->XGetModifierMapping(x->display);
    x->XQueryKeymap(x->display, pressed);
    for (int i = 0; map && i < 8 * map->max_keypermod; i++) {
        KeyCode key = map->modifiermap[i];
        if (key && pressed[key / 8] >> key % 8 & 1)
            x->XTestFakeKeyEvent(x->display, key, False, CurrentTime);
    }
    if (map)
        x->XFreeModifiermap(map);
}

static void press(const struct x11 *x, int key)
{
    x->XTestFakeKeyEvent(x->display, (unsigned)key, True, CurrentTime);
    x->XTestFakeKeyEvent(x->display, (unsigned)key, False, CurrentTime);
}

/* Presses the keys of the text, every character of which has one. */
static void press_text(struct x11 *x, const char *text, int shift)
{
    struct place place;
    int group = 0;
    for (size_t size; *text; text += size) {
        size = utf8_size(text);
        if (!size || !place_character(x, read_character(text, size), &place))
            return;
        if (place.group != group)
            x->XkbLockGroup(x->display, XkbUseCoreKbd, (unsigned)place.group);
        group = place.group;
        if (place.shift)
            x->XTestFakeKeyEvent(x->display, (unsigned)shift, True, CurrentTime);
        press(x, place.key);
        if (place.shift)
            x->XTestFakeKeyEvent(x->display, (unsigned)shift, False, CurrentTime);
    }
}

/* Presses all with the first layout and without Caps Lock, which are then as they were. */
static void press_all(struct x11 *x, size_t backspaces, const char *text, int backspace, int shift)
{
    XkbStateRec state;
    x->XkbGetState(x->display, XkbUseCoreKbd, &state);
    release_modifiers(x);
    x->XkbLockGroup(x->display, XkbUseCoreKbd, 0);
    x->XkbLockModifiers(x->display, XkbUseCoreKbd, LockMask, 0);
    for (size_t i = 0; i < backspaces; i++)
        press(x, backspace);
    press_text(x, text, shift);
    x->XkbLockGroup(x->display, XkbUseCoreKbd, state.locked_group);
    x->XkbLockModifiers(x->display, XkbUseCoreKbd, LockMask, state.locked_mods & LockMask);
    x->XSync(x->display, False);
}

/* Whether every character of the text has a key now. */
static bool prepare_text(struct x11 *x, const char *text)
{
    struct place place;
    for (size_t size; *text; text += size) {
        size = utf8_size(text);
        if (!size || !place_character(x, read_character(text, size), &place))
            return false;
    }
    x->XSync(x->display, False);
    return true;
}

static int type(size_t backspaces, const char *text, struct error *error)
{
    struct x11 x;
    struct place backspace, shift;
    int rc = start(&x, error);
    if (rc)
        return rc;
    if (read_keyboard(&x))
        rc = error_set(error, -ENOMEM, "out of memory");
    else if (!find_place(&x, XK_BackSpace, 0, &backspace) ||
             !find_place(&x, XK_Shift_L, 0, &shift) || !prepare_text(&x, text))
        rc = error_set(error, -ENOTSUP,
                       "the keyboard of the X server has too few keys for the text; see setxkbmap");
    else
        press_all(&x, backspaces, text, backspace.key, shift.key);
    finish(&x);
    return rc;
}

/* The active window, as a window manager tells it; None: nobody does. */
static Window active_window(const struct x11 *x)
{
    Atom active = x->XInternAtom(x->display, "_NET_ACTIVE_WINDOW", True), type_is;
    unsigned long count = 0, left;
    unsigned char *data = NULL;
    Window window = None;
    int format;
    if (!active)
        return None;
    x->XGetWindowProperty(x->display, x->XDefaultRootWindow(x->display), active, 0, 1, False,
                          AnyPropertyType, &type_is, &format, &count, &left, &data);
    if (data && count == 1 && format == 32)
        memcpy(&window, data, sizeof window);
    if (data)
        x->XFree(data);
    return window;
}

/* Without a window manager, the window that gets the keys. */
static bool focus(uint64_t *window)
{
    struct x11 x;
    int ignored;
    if (start(&x, NULL))
        return false;
    Window found = active_window(&x);
    if (!found)
        x.XGetInputFocus(x.display, &found, &ignored);
    finish(&x);
    *window = found == PointerRoot ? 0 : found;
    return true;
}

const struct type_way type_x11 = {
    .name = "x11",
    .what = "keys of XTest",
    .probe = probe,
    .type = type,
    .focus = focus,
};
