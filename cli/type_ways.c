/* The table of ways, and those that are programs: wtype on compositors with virtual keyboards, and
 * ydotool, which is a keyboard of the kernel. Words reach them by a file in memory: a command line
 * is for everybody to read. */
#include "cli/type_ways.h"

#include "cli/sway_focus.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    ARGUMENTS_MAX = 520,
    BACKSPACES_MAX = 500, /* of one call */
};

const struct type_way *const type_ways[] = {&type_x11,  &type_wayland, &type_wtype, &type_portal,
                                            &type_ibus, &type_ydotool, NULL};

static bool is_installed(const char *program)
{
    char path[4096];
    const char *from = getenv("PATH");
    while (from && *from) {
        size_t length = strcspn(from, ":");
        int size = snprintf(path, sizeof path, "%.*s/%s", (int)length, from, program);
        if (length && (size_t)size < sizeof path && access(path, X_OK) == 0)
            return true;
        from += length + (from[length] == ':');
    }
    return false;
}

/* A file in memory with the text; -1: errno. */
static int file_of(const char *text)
{
    int fd = memfd_create("earshot-type", MFD_CLOEXEC);
    size_t size = strlen(text);
    if (fd < 0)
        return -1;
    if (write(fd, text, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Starts the program with the file as its input, whatever it says unheard: it may say words. Its
 * exit status, or -errno. */
static int start(const char *const *arguments, int input)
{
    posix_spawn_file_actions_t files;
    pid_t child;
    int status;
    setenv("LC_ALL", "C.UTF-8", 1); /* as it reads the text */
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int rc = posix_spawnp(&child, arguments[0], &files, NULL, (char *const *)(uintptr_t)arguments,
                          environ);
    posix_spawn_file_actions_destroy(&files);
    if (rc)
        return -rc;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* 0, or an error that names the program. */
static int run(const char *const *arguments, const char *text, struct error *error)
{
    int input = file_of(text);
    int rc = input < 0 ? -errno : start(arguments, input);
    if (input >= 0)
        close(input);
    if (rc < 0)
        return error_set(error, rc, "%s: %s", arguments[0], strerror(-rc));
    return rc ? error_set(error, -EIO, "%s: failed with exit status %d; try it by hand",
                          arguments[0], rc)
              : 0;
}

static int probe_wtype(struct error *why)
{
    static const char *const nothing[] = {"wtype", "", NULL};
    if (!getenv("WAYLAND_DISPLAY"))
        return error_set(why, -ENOTSUP, "no Wayland session: WAYLAND_DISPLAY is not set");
    if (!is_installed("wtype"))
        return error_set(why, -ENOENT, "the program wtype is missing; install it");
    if (run(nothing, "", NULL))
        return error_set(why, -ENOTSUP,
                         "the compositor has no virtual keyboards (Sway, labwc and Hyprland have); "
                         "use ydotool");
    return 0;
}

/* One call: Backspace so often, then the text. Where the seat has no other keyboard, windows need a
 * moment to take notice of the new one. */
static int type_by_wtype(size_t backspaces, const char *text, struct error *error)
{
    const char *arguments[ARGUMENTS_MAX * 2] = {"wtype", "-s", "50"};
    size_t count = 3, pressed = backspaces < BACKSPACES_MAX ? backspaces : BACKSPACES_MAX;
    for (size_t i = 0; i < pressed; i++) {
        arguments[count++] = "-k";
        arguments[count++] = "BackSpace";
    }
    if (pressed == backspaces && *text)
        arguments[count++] = "-";
    int rc = run(arguments, text, error);
    return rc || pressed == backspaces ? rc : type_by_wtype(backspaces - pressed, text, error);
}

const struct type_way type_wtype = {
    .name = "wtype",
    .what = "virtual keyboard of a Wayland compositor",
    .probe = probe_wtype,
    .type = type_by_wtype,
    .focus = sway_focus,
};

/* Versions before 1 have other arguments, among them a command to record. */
static bool ydotool_is_old(void)
{
    char line[256];
    bool old = false;
    FILE *help = popen("ydotool --help 2>&1", "re");
    while (help && fgets(line, sizeof line, help))
        old = old || strstr(line, "recorder");
    if (help)
        pclose(help);
    return old;
}

/* Where its daemon listens. */
static bool has_ydotoold(void)
{
    char path[4096];
    const char *own = getenv("YDOTOOL_SOCKET"), *folder = getenv("XDG_RUNTIME_DIR");
    if (own)
        return access(own, W_OK) == 0;
    snprintf(path, sizeof path, "%s/.ydotool_socket", folder ? folder : "/tmp");
    return access(path, W_OK) == 0 || access("/tmp/.ydotool_socket", W_OK) == 0;
}

static int probe_ydotool(struct error *why)
{
    if (!is_installed("ydotool"))
        return error_set(why, -ENOENT, "the program ydotool is missing; install version 1 of it");
    if (!has_ydotoold())
        return error_set(why, -ENOTSUP,
                         "its daemon ydotoold does not run, or not for you; start it");
    if (ydotool_is_old())
        return error_set(why, -ENOTSUP, "ydotool is older than version 1; install a newer one");
    return 0;
}

/* It has keys of an American keyboard and no others. */
static int type_by_ydotool(size_t backspaces, const char *text, struct error *error)
{
    const char *keys[ARGUMENTS_MAX * 2] = {"ydotool", "key", "--key-delay", "2"};
    static const char *const words[] = {"ydotool", "type",   "--key-delay", "2", "--key-hold",
                                        "2",       "--file", "-",           NULL};
    size_t count = 4, pressed = backspaces < BACKSPACES_MAX ? backspaces : BACKSPACES_MAX;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c >= 0x80)
            return error_set(error, -EILSEQ, "ydotool types ASCII alone");
    for (size_t i = 0; i < pressed; i++) {
        keys[count++] = "14:1"; /* KEY_BACKSPACE of the kernel */
        keys[count++] = "14:0";
    }
    int rc = pressed ? run(keys, "", error) : 0;
    if (!rc && pressed < backspaces)
        return type_by_ydotool(backspaces - pressed, text, error);
    return !rc && *text ? run(words, text, error) : rc;
}

const struct type_way type_ydotool = {
    .name = "ydotool",
    .what = "keyboard of the kernel, in any session; ASCII on an American layout",
    .probe = probe_ydotool,
    .type = type_by_ydotool,
};
