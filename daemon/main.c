/* earshotd: the daemon. Everything is in the library; this file puts it together. */
#include "base/core_dump.h"
#include "base/log.h"
#include "daemon/bus.h"
#include "daemon/capture.h"
#include "daemon/capture_process.h"
#include "daemon/config.h"
#include "daemon/engine.h"
#include "daemon/journal_ids.h"
#include "daemon/places.h"
#include "daemon/service.h"
#include "daemon/settings.h"
#include "daemon/supervisor.h"

#include <getopt.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_USAGE = 2,
};

static void usage(FILE *out)
{
    fputs("Usage: earshotd [OPTION]...\n"
          "Listens to a microphone and publishes what was said over D-Bus. Options here override\n"
          "the configuration file.\n\n"
          "  --config FILE      the configuration file (--print-defaults shows one)\n"
          "  --source SOURCE    portaudio, portaudio:DEVICE, file:PATH or file:PATH:fast\n"
          "  --model FILE       the model file\n"
          "  --backend NAME     auto, cpu, cuda or cuda:N\n"
          "  --bus BUS          session, system or an address\n"
          "  --print-defaults   print a configuration file with every key and its default\n"
          "  --help, --version\n",
          out);
}

/* -1: go on; else the exit status. */
static int read_options(struct settings *o, int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"source", required_argument, NULL, 's'},
        {"model", required_argument, NULL, 'm'},
        {"backend", required_argument, NULL, 'b'},
        {"bus", required_argument, NULL, 'B'},
        {"print-defaults", no_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL},
    };
    argv[0] = "earshotd"; /* what errors begin with */
    for (int option; (option = getopt_long(argc, argv, "hm:", longs, NULL)) != -1;) {
        switch (option) {
        case 'c':
            o->config = optarg;
            break;
        case 's':
            o->source = optarg;
            break;
        case 'm':
            o->model = optarg;
            break;
        case 'b':
            o->backend = optarg;
            break;
        case 'B':
            o->bus = optarg;
            break;
        case 'p':
            config_print_defaults(stdout);
            return 0;
        case 'h':
            usage(stdout);
            return 0;
        case 'v':
            puts("earshotd " EARSHOT_VERSION);
            return 0;
        default:
            usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return -1;
    error_print("earshotd: unexpected argument \"%s\"", argv[optind]);
    usage(stderr);
    return EXIT_USAGE;
}

static int serve(const struct config *c, const struct settings *settings, struct supervisor *s,
                 struct error *error)
{
    struct bus *bus = NULL;
    struct service *service = NULL;
    struct engine *engine = NULL;
    char model[4096];
    struct loop *loop = supervisor_loop(s);

    int rc = places_model(settings->model, c->model, model, sizeof model, error);
    if (!rc)
        rc = bus_create(&bus, loop, c->bus, error);
    if (!rc)
        rc = bus_own(bus, SERVICE_BUS_NAME, error); /* calls wait until the loop runs */
    if (!rc)
        rc = service_create(&service, loop, bus, c, settings, error);
    if (!rc)
        rc = engine_create(&engine, c, model, error);
    if (!rc)
        rc = service_attach(service, engine, error);
    if (!rc) {
        supervisor_ready(s, engine);
        supervisor_on_reload(s, service_reload, service);
        log_event(LOG_LEVEL_INFO, JOURNAL_STARTED,
                  (struct log_field[]){
                      {"VERSION", .text = EARSHOT_VERSION}, {"BUS", .text = c->bus}, {NULL}},
                  "earshotd " EARSHOT_VERSION ", bus %s", c->bus);
        rc = loop_run(loop);
        if (rc)
            error_set(error, rc, "stopped by an error");
        supervisor_ending(s);
    }
    engine_destroy(engine);
    service_destroy(service);
    bus_destroy(bus);
    return rc;
}

/* What is larger goes back to the system when it is freed. By itself the allocator raises its bound
 * up to the largest piece ever freed, and keeps megabytes of what closed streams had. */
#define MMAP_BYTES (128 * 1024)

int main(int argc, char **argv)
{
    if (argc == 2 + CAPTURE_ARGUMENTS && strcmp(argv[1], CAPTURE_OPTION) == 0)
        return capture_process(argv + 2);
    core_dump_forbid();
    core_dump_forbid_children();
    struct settings settings = {0};
    int status = read_options(&settings, argc, argv);
    if (status >= 0)
        return status;

    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    struct config config;
    struct supervisor *supervisor = NULL;
    struct error error = {""};
    int rc = settings_read(&settings, &config, &error);
    if (!rc) {
        log_set_level(config_log_level(&config));
        rc = supervisor_create(&supervisor, &error);
    }
    if (!rc)
        rc = serve(&config, &settings, supervisor, &error);
    supervisor_destroy(supervisor);
    if (rc)
        log_event(LOG_LEVEL_ERROR, JOURNAL_FAILED, NULL, "earshotd: %s", error.message);
    return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
