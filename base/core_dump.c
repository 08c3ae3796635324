/* The limit alone would not do: the kernel does not heed it where a program takes the dumps. */
#include "base/core_dump.h"

#include <sys/prctl.h>
#include <sys/resource.h>

void core_dump_forbid(void)
{
    prctl(PR_SET_DUMPABLE, 0);
}

void core_dump_forbid_children(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}
