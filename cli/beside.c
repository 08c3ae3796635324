/* exec, of the programs that earshot hands over to. */
#include "cli/beside.h"

#include "base/paths.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

int beside_become(const char *program, char *const argv[])
{
    char path[PATH_MAX];

    if (paths_installed(program, path, sizeof path) == 0)
        execv(path, argv);
    execvp(program, argv);
    return -errno;
}
