/* A flag that the handler of both signals sets. */
#include "models/stop.h"

#include <signal.h>

static volatile sig_atomic_t asked;

static void ask(int number)
{
    (void)number;
    asked = 1;
}

void stop_begin(void)
{
    struct sigaction action = {.sa_handler = ask};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool stop_asked(void)
{
    return asked;
}
