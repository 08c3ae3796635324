/* How the caption window looks and where it is, kept from one start to the next in
 * $XDG_STATE_HOME/earshot/overlay.ini (~/.local/state without it). No text is ever in it. */
#ifndef EARSHOT_OVERLAY_SETTINGS_H
#define EARSHOT_OVERLAY_SETTINGS_H

#include <stdbool.h>

enum {
    SETTINGS_NOWHERE = -1, /* a place that nobody has chosen */
};

/* Whose captions are shown. */
enum settings_sound {
    SETTINGS_MICROPHONE,
    SETTINGS_DESKTOP, /* what it plays */
    SETTINGS_BOTH,
};

struct settings {
    enum settings_sound sound;
    char font[128]; /* a family; empty: the desktop's */
    int size;       /* of the text, in points */
    int opacity;    /* of what is behind the text, in per cent */
    int lines;      /* that are seen */
    int width;      /* in per cent of the monitor's */
    bool top;       /* at the upper edge, where no place was chosen */
    int x, bottom;  /* the lower left corner; SETTINGS_NOWHERE */
};

/* What is there, and else the defaults; a value out of its range is named on stderr and is left. */
void settings_read(struct settings *settings);

/* The name of a sound as settings and actions have it, and back; of another name the microphone. */
const char *settings_sound_name(enum settings_sound sound);
enum settings_sound settings_sound_of(const char *name);

/* Writes all of it, as a whole or not at all; a failure is said on stderr. */
void settings_write(const struct settings *settings);

#endif
