/* Clocks, medians and the two forms of a report. */
#include "cli/bench_report.h"

#include "cues/cues.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

double bench_seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), by_value);
    return count ? values[count / 2] : 0;
}

void bench_add(struct bench_report *r, struct bench_figure f)
{
    if (r->count < BENCH_FIGURES_MAX)
        r->figures[r->count++] = f;
}

/* Now, and not at most: measuring the limits takes memory that the model does not need. */
double bench_resident_mb(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f)
        return 0;
    if (fscanf(f, "%*s %lu", &pages) != 1)
        pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static void print_limits(const char *what, const struct cpu_limits *l)
{
    printf("%-34s %10.1f GB/s read, %.0f GFLOP/s float32", what, l->read / 1e9, l->fma / 1e9);
    if (l->bytes > 0)
        printf(", %.0f GOP/s int8", l->bytes / 1e9);
    if (l->tiles > 0)
        printf(", %.0f GFLOP/s bf16 (matrix unit)", l->tiles / 1e9);
    printf("\n");
}

static void print_figure(const struct bench_figure *f)
{
    int digits = f->value < 1 ? 3 : f->value < 100 ? 2 : 0;
    printf("%-34s %10.*f %-9s", f->name, digits, f->value, f->unit);
    if (f->slowest != f->fastest)
        printf("  (fastest %.*f, slowest %.*f)", digits, f->fastest, digits, f->slowest);
    if (f->bytes > 0)
        printf("  %.1f GB/s", f->bytes / 1e9);
    if (f->work > 0)
        printf("  %.0f GFLOP/s", f->work / 1e9);
    if (f->most > 0)
        printf("  %.0f %% of the limit", 100 * (f->bytes > 0 ? f->bytes : f->work) / f->most);
    printf("\n");
}

void bench_print_text(const struct bench_report *r)
{
    const struct model *m = r->model;
    printf("model %s, backend %s (%s), threads %zu\n", m->name, m->backend->ops->name, r->why,
           r->threads);
    if (r->token_bytes > 0)
        printf("%-34s %10.1f MB, %.2f GFLOP\n", "a token of the backbone", r->token_bytes / 1e6,
               r->token_operations / 1e9);
    if (r->limited) {
        print_limits("limit of one thread", &r->limits[0]);
        print_limits("limit of all threads", &r->limits[1]);
    }
    for (size_t i = 0; i < r->count; i++)
        print_figure(&r->figures[i]);
}

static cJSON *limits_object(const struct cpu_limits *l)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "read", l->read);
    cJSON_AddNumberToObject(o, "float32", l->fma);
    cJSON_AddNumberToObject(o, "int8", l->bytes);
    cJSON_AddNumberToObject(o, "bf16_matrix", l->tiles);
    return o;
}

static cJSON *figure_object(const struct bench_figure *f)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", f->name);
    cJSON_AddStringToObject(o, "unit", f->unit);
    cJSON_AddNumberToObject(o, "value", f->value);
    cJSON_AddNumberToObject(o, "slowest", f->slowest);
    cJSON_AddNumberToObject(o, "fastest", f->fastest);
    if (f->work > 0)
        cJSON_AddNumberToObject(o, "operations_per_s", f->work);
    if (f->bytes > 0)
        cJSON_AddNumberToObject(o, "bytes_per_s", f->bytes);
    if (f->most > 0)
        cJSON_AddNumberToObject(o, "of_limit", (f->bytes > 0 ? f->bytes : f->work) / f->most);
    return o;
}

int bench_print_json(const struct bench_report *r)
{
    const struct model *m = r->model;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "model", m->name);
    cJSON_AddStringToObject(o, "backend", m->backend->ops->name);
    cJSON_AddNumberToObject(o, "threads", (double)r->threads);
    if (r->token_bytes > 0)
        cJSON_AddNumberToObject(o, "bytes_per_token", r->token_bytes);
    if (r->limited) {
        cJSON_AddItemToObject(o, "limits_one_thread", limits_object(&r->limits[0]));
        cJSON_AddItemToObject(o, "limits", limits_object(&r->limits[1]));
    }
    cJSON *figures = cJSON_AddArrayToObject(o, "figures");
    for (size_t i = 0; i < r->count; i++)
        cJSON_AddItemToArray(figures, figure_object(&r->figures[i]));
    char *text = cJSON_Print(o);
    cJSON_Delete(o);
    if (!text)
        return -1;
    cue_print_json(text, stdout);
    putchar('\n');
    free(text);
    return 0;
}
