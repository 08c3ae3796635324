/* What earshot bench has measured, and how it is measured and printed. */
#ifndef EARSHOT_CLI_BENCH_REPORT_H
#define EARSHOT_CLI_BENCH_REPORT_H

#include "kernels/cpu/limits.h"
#include "model/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum {
    BENCH_FIGURES_MAX = 16,
};

/* What was measured; 0 where a part has no such figure. */
struct bench_figure {
    const char *name, *unit;
    double value, slowest, fastest;
    double work;  /* operations a second */
    double bytes; /* read from memory, a second */
    double most;  /* of the machine: work or bytes a second, whichever decides */
};

struct bench_report {
    const struct model *model;
    const char *why; /* this backend */
    size_t threads;
    double token_bytes, token_operations; /* that a token of the backbone costs */
    struct cpu_limits limits[2];          /* of one thread, of all */
    bool limited;                         /* there are limits: the backend is the CPU */
    struct bench_figure figures[BENCH_FIGURES_MAX];
    size_t count;
};

double bench_seconds(clockid_t clock);
/* Sorts the values; of none 0. */
double bench_median(double *values, size_t count);
double bench_resident_mb(void); /* of this process */
/* One more is not kept than there is room for. */
void bench_add(struct bench_report *r, struct bench_figure f);

void bench_print_text(const struct bench_report *r);
int bench_print_json(const struct bench_report *r); /* 0, or -1: out of memory */

#endif
