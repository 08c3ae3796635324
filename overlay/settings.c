/* The caption window's settings as a key file (settings.h). */
#include "overlay/settings.h"

#include <glib.h>
#include <string.h>

#define GROUP "window"

/* X(key, default, least, most) of the numbers. */
#define NUMBERS(X)                                                                                 \
    X(size, 20, 8, 96)                                                                             \
    X(opacity, 75, 0, 100)                                                                         \
    X(lines, 3, 1, 12)                                                                             \
    X(width, 60, 20, 100)                                                                          \
    X(x, SETTINGS_NOWHERE, SETTINGS_NOWHERE, 65535)                                                \
    X(bottom, SETTINGS_NOWHERE, SETTINGS_NOWHERE, 65535)

static const char *const sounds[] = {"microphone", "desktop", "both"};

const char *settings_sound_name(enum settings_sound sound)
{
    return sounds[sound];
}

enum settings_sound settings_sound_of(const char *name)
{
    size_t i = G_N_ELEMENTS(sounds) - 1;
    while (i && strcmp(sounds[i], name) != 0)
        i--;
    return (enum settings_sound)i;
}

static char *find_path(void)
{
    return g_build_filename(g_get_user_state_dir(), "earshot", "overlay.ini", NULL);
}

static void read_number(GKeyFile *file, const char *path, const char *key, int least, int most,
                        int *value)
{
    GError *error = NULL;
    if (!g_key_file_has_key(file, GROUP, key, NULL))
        return;
    int read = g_key_file_get_integer(file, GROUP, key, &error);
    if (!error && read >= least && read <= most)
        *value = read;
    else
        g_printerr("earshot-overlay: %s: %s is not a number from %d to %d; %d is used\n", path, key,
                   least, most, *value);
    g_clear_error(&error);
}

static void read_keys(GKeyFile *file, const char *path, struct settings *settings)
{
#define READ(key, value, least, most) read_number(file, path, #key, least, most, &settings->key);
    NUMBERS(READ)
#undef READ
    char *font = g_key_file_get_string(file, GROUP, "font", NULL);
    if (font)
        g_strlcpy(settings->font, font, sizeof settings->font);
    g_free(font);
    char *edge = g_key_file_get_string(file, GROUP, "edge", NULL);
    settings->top = edge && strcmp(edge, "top") == 0;
    g_free(edge);
    char *sound = g_key_file_get_string(file, GROUP, "sound", NULL);
    settings->sound = settings_sound_of(sound ? sound : "");
    g_free(sound);
}

void settings_read(struct settings *settings)
{
    char *path = find_path();
    GKeyFile *file = g_key_file_new();
    GError *error = NULL;
#define DEFAULT(key, value, least, most) .key = value,
    *settings = (struct settings){NUMBERS(DEFAULT)};
#undef DEFAULT
    if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &error))
        read_keys(file, path, settings);
    else if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        g_printerr("earshot-overlay: %s: %s; the defaults are used\n", path, error->message);
    g_clear_error(&error);
    g_key_file_free(file);
    g_free(path);
}

void settings_write(const struct settings *settings)
{
    char *path = find_path(), *folder = g_path_get_dirname(path);
    GKeyFile *file = g_key_file_new();
    GError *error = NULL;
#define WRITE(key, value, least, most) g_key_file_set_integer(file, GROUP, #key, settings->key);
    NUMBERS(WRITE)
#undef WRITE
    g_key_file_set_string(file, GROUP, "font", settings->font);
    g_key_file_set_string(file, GROUP, "edge", settings->top ? "top" : "bottom");
    g_key_file_set_string(file, GROUP, "sound", settings_sound_name(settings->sound));
    g_mkdir_with_parents(folder, 0700);
    if (!g_key_file_save_to_file(file, path, &error))
        g_printerr("earshot-overlay: %s; the settings are not kept\n", error->message);
    g_clear_error(&error);
    g_key_file_free(file);
    g_free(folder);
    g_free(path);
}
