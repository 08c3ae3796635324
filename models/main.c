/* earshot-model, which earshot model becomes: a program of its own, so that neither the daemon nor
 * its client needs libcurl. */
#include "models/commands.h"
#include "models/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"list", command_list},     {"get", command_get},         {"use", command_use},
    {"remove", command_remove}, {"convert", command_convert},
};

int command_fail(const struct error *error)
{
    error_print("earshot model: %s", error->message);
    return EXIT_FAILED;
}

/* The converter takes this process's place. */
int command_convert(int argc, char **argv)
{
    struct error error;
    char program[PATH_MAX];

    (void)argc;
    if (process_converter(program, sizeof program)) {
        error_set(&error, -ENOENT, "%s: the converter is missing; install Earshot again", program);
        return command_fail(&error);
    }
    argv[0] = program;
    execv(program, argv);
    error_set(&error, -errno, "%s: %s", program, strerror(errno));
    return command_fail(&error);
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(name, commands[i].name) != 0)
            continue;
        char title[64];
        snprintf(title, sizeof title, "earshot model %s", name);
        argv[1] = title;
        return commands[i].run(argc - 1, argv + 1);
    }
    error_print("earshot model: no command %.40s; earshot model --help tells them", name);
    return EXIT_USAGE;
}

/* A file that is opened must not get the number of an output that somebody has closed. */
static void reserve_outputs(void)
{
    int fd;

    while ((fd = open("/dev/null", O_RDONLY)) >= 0 && fd <= STDERR_FILENO)
        ;
    close(fd);
}

/* Whatever a command printed, it is done only if that has arrived. */
int main(int argc, char **argv)
{
    reserve_outputs();
    int code = run(argc, argv);

    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "earshot model: the output cannot be written\n");
    return code ? code : EXIT_FAILED;
}
