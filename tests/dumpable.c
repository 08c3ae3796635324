/* For LD_PRELOAD: a program that would hide itself stays to be seen, so that a test of a user who
 * is not root can count its descriptors. */
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int prctl(int option, ...)
{
    unsigned long given[4];
    va_list arguments;
    va_start(arguments, option);
    for (int i = 0; i < 4; i++)
        given[i] = va_arg(arguments, unsigned long);
    va_end(arguments);
    if (option == PR_SET_DUMPABLE)
        return 0;
    return (int)syscall(SYS_prctl, option, given[0], given[1], given[2], given[3]);
}
