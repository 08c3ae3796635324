/* posix_spawn, and a pipe for what the program says. */
#include "models/process.h"

#include "base/paths.h"
#include "models/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Reads to the end, and keeps what there is room for. */
static void read_all(int fd, char *said, size_t capacity)
{
    char rest[4096];
    size_t used = 0;
    ssize_t count;

    for (;;) {
        bool room = used + 1 < capacity;
        count = room ? read(fd, said + used, capacity - 1 - used) : read(fd, rest, sizeof rest);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        used += room ? (size_t)count : 0;
    }
    said[used] = '\0';
}

static int exit_code(pid_t process)
{
    int status;

    while (waitpid(process, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
        if (stop_asked())
            kill(process, SIGTERM);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_run(char *const argv[], char *said, size_t capacity)
{
    posix_spawn_file_actions_t files;
    int ends[2] = {-1, -1};
    pid_t process;

    if (said && pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    posix_spawn_file_actions_init(&files);
    if (!said)
        posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    if (said) {
        posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&files, ends[1], STDERR_FILENO);
    }
    int rc = posix_spawnp(&process, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (said) {
        close(ends[1]);
        read_all(ends[0], said, capacity);
        close(ends[0]);
    }
    return rc ? -rc : exit_code(process);
}

int process_converter(char *path, size_t capacity)
{
    return paths_data("tools/convert", "tools/convert", path, capacity);
}
