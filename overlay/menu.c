/* What the menu has (menu.h). The bus does not list microphones: earshot devices does. */
#include "overlay/menu.h"

#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

struct entry {
    const char *label, *action; /* NULL: ends a list */
};

static GMenu *make(const struct entry *entries)
{
    GMenu *menu = g_menu_new();
    for (; entries->label; entries++)
        g_menu_append(menu, entries->label, entries->action);
    return menu;
}

static void add_section(GMenu *menu, GMenu *section)
{
    g_menu_append_section(menu, NULL, G_MENU_MODEL(section));
    g_object_unref(section);
}

static void add_submenu(GMenu *menu, const char *label, const struct entry *entries)
{
    GMenu *submenu = make(entries);
    g_menu_append_submenu(menu, label, G_MENU_MODEL(submenu));
    g_object_unref(submenu);
}

static const struct entry modes[] = {
    {"_Captions alone", "app.mode::captions"}, {"With _replies", "app.mode::assistant"}, {NULL}};
static const struct entry texts[] = {{"_Copy", "app.copy"},
                                     {"Select _all", "app.select-all"},
                                     {"_Older lines", "app.older"},
                                     {NULL}};
static const struct entry sizes[] = {{"_Larger", "app.larger"},
                                     {"_Smaller", "app.smaller"},
                                     {"_Font\xe2\x80\xa6", "app.font"},
                                     {NULL}};
static const struct entry grounds[] = {
    {"_Black", "app.opacity(100)"}, {"_Dark", "app.opacity(75)"}, {"_Half", "app.opacity(50)"},
    {"_Light", "app.opacity(25)"},  {"_None", "app.opacity(0)"},  {NULL}};
static const struct entry rows[] = {{"_2", "app.lines(2)"},
                                    {"_3", "app.lines(3)"},
                                    {"_4", "app.lines(4)"},
                                    {"_6", "app.lines(6)"},
                                    {NULL}};
static const struct entry widths[] = {{"_40 %", "app.width(40)"},
                                      {"_60 %", "app.width(60)"},
                                      {"_80 %", "app.width(80)"},
                                      {"_100 %", "app.width(100)"},
                                      {NULL}};
static const struct entry edges[] = {
    {"_Bottom", "app.edge::bottom"}, {"_Top", "app.edge::top"}, {NULL}};
static const struct entry ends[] = {{"_Quit", "app.quit"}, {NULL}};

static GMenu *make_ear(struct menu *menu)
{
    GMenu *ear = g_menu_new();
    g_menu_append(ear, "_Pause", "app.pause");
    g_menu_append_submenu(ear, "_Microphone", G_MENU_MODEL(menu->devices));
    add_submenu(ear, "M_ode", modes);
    return ear;
}

static GMenu *make_look(void)
{
    GMenu *look = g_menu_new();
    add_submenu(look, "_Text", sizes);
    add_submenu(look, "_Background", grounds);
    add_submenu(look, "_Lines", rows);
    add_submenu(look, "_Width", widths);
    add_submenu(look, "Pl_ace", edges);
    return look;
}

void menu_init(struct menu *menu)
{
    menu->model = g_menu_new();
    menu->devices = g_menu_new();
    add_section(menu->model, make_ear(menu));
    add_section(menu->model, make(texts));
    add_section(menu->model, make_look());
    add_section(menu->model, make(ends));
}

void menu_finish(struct menu *menu)
{
    g_clear_object(&menu->model);
    g_clear_object(&menu->devices);
}

/* A name may have underlines, which a menu would take for the mark of a key. */
static void add_device(GMenu *devices, const char *label, const char *name)
{
    char **parts = g_strsplit(label, "_", -1);
    char *shown = g_strjoinv("__", parts);
    GMenuItem *item = g_menu_item_new(shown, NULL);
    g_menu_item_set_action_and_target(item, "app.device", "s", name);
    g_menu_append_item(devices, item);
    g_object_unref(item);
    g_free(shown);
    g_strfreev(parts);
}

static void devices_listed(GObject *process, GAsyncResult *result, void *user)
{
    char *out = NULL;
    GMenu *devices = user;
    g_subprocess_communicate_utf8_finish(G_SUBPROCESS(process), result, &out, NULL, NULL);
    char **names = g_strsplit(out ? out : "", "\n", -1);
    g_menu_remove_all(devices);
    add_device(devices, "The desktop's own", "");
    for (char **name = names; *name; name++)
        if (**name)
            add_device(devices, *name, *name);
    g_strfreev(names);
    g_free(out);
    g_object_unref(devices);
}

/* The program beside this one, or what PATH has. */
static char *find_earshot(void)
{
    char *own = g_file_read_link("/proc/self/exe", NULL);
    char *folder = g_path_get_dirname(own ? own : "."),
         *path = g_build_filename(folder, "earshot", NULL);
    if (access(path, X_OK) != 0) {
        g_free(path);
        path = g_strdup("earshot");
    }
    g_free(folder);
    g_free(own);
    return path;
}

void menu_list_devices(struct menu *menu)
{
    char *program = find_earshot();
    GSubprocess *process =
        g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, NULL,
                         program, "devices", NULL);
    if (process)
        g_subprocess_communicate_utf8_async(process, NULL, NULL, devices_listed,
                                            g_object_ref(menu->devices));
    g_clear_object(&process);
    g_free(program);
}
