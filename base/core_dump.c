/* The limit alone would not do: the kernel does not heed it where a program takes the dumps. */
#include "base/core_dump.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { DUMPABLE = 1 }; /* a search for leaks attaches to the process */
#else
enum { DUMPABLE = 0 };
#endif

void core_dump_forbid(void)
{
    prctl(PR_SET_DUMPABLE, DUMPABLE);
}

void core_dump_forbid_children(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}
