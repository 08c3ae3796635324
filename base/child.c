/* posix_spawn of /proc/self/exe. */
#include "base/child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

extern char **environ;

int child_start(pid_t *process, char *const argv[], const struct child_file *files, size_t count)
{
    sigset_t none;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    for (size_t i = 0; i < count; i++)
        if (files[i].from < 0)
            posix_spawn_file_actions_addopen(&actions, files[i].to, "/dev/null", O_RDWR, 0);
        else
            posix_spawn_file_actions_adddup2(&actions, files[i].from, files[i].to);
    int rc = posix_spawn(process, "/proc/self/exe", &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (rc)
        *process = 0;
    return -rc;
}
