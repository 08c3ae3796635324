/* The bar: name, share, megabytes, speed and the time that is left. */
#include "models/progress.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    BAR_MIN = 6,
    BAR_MAX = 30,
    LEFT_MAX_S = 100 * 3600,
    SHOW_EVERY_US = 200000,
    COLUMNS_DEFAULT = 80,
};

void progress_begin(struct progress *p, const char *name, uint64_t begun)
{
    int64_t now = clock_monotonic_us();

    *p = (struct progress){name, begun, now, 0, 0, isatty(STDERR_FILENO) == 1};
}

static int columns(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col
                                                                       : COLUMNS_DEFAULT;
}

/* Bytes a second since the beginning. */
static double speed(const struct progress *p, uint64_t done, int64_t now)
{
    double seconds = (double)(now - p->start_us) / 1e6;

    return seconds > 0 ? (double)(done - p->begun) / seconds : 0;
}

/* What fits behind the name, and a bar in what is left. */
static void show_bar(struct progress *p, uint64_t done, uint64_t whole, int64_t now)
{
    char bar[BAR_MAX + 1] = "", figures[96], left[24] = "";
    double rate = speed(p, done, now), share = (double)done / (double)whole;
    double left_s = rate > 0 ? (double)(whole - done) / rate : LEFT_MAX_S;

    if (left_s < LEFT_MAX_S)
        snprintf(left, sizeof left, "  %d:%02d left", (int)left_s / 60, (int)left_s % 60);
    snprintf(figures, sizeof figures, "%3.0f %%  %.1f of %.1f MB  %.1f MB/s%s", 100 * share,
             (double)done / 1e6, (double)whole / 1e6, rate / 1e6, left);
    int room = columns() - 1 - (int)strlen(p->name) - (int)strlen(figures) - (int)strlen(" [] ");
    int width = room < BAR_MAX ? room : BAR_MAX;
    if (width >= BAR_MIN) {
        memset(bar, '-', (size_t)width);
        memset(bar, '#', (size_t)(share * width));
    }
    fprintf(stderr, "\r%.*s%s%s%s%.*s\033[K", columns() - 1 - (int)strlen(figures), p->name,
            *bar ? " [" : " ", bar, *bar ? "] " : "", columns() - 1, figures);
}

static void show_count(struct progress *p, uint64_t done, int64_t now)
{
    fprintf(stderr, "\r%s  %.1f MB  %.1f MB/s\033[K", p->name, (double)done / 1e6,
            speed(p, done, now) / 1e6);
}

static void show_tenths(struct progress *p, uint64_t done, uint64_t whole)
{
    int tenths = whole ? (int)(10 * done / whole) : 0;

    if (tenths <= p->tenths)
        return;
    p->tenths = tenths;
    fprintf(stderr, "%s: %d %% of %.1f MB\n", p->name, 10 * tenths, (double)whole / 1e6);
}

void progress_show(struct progress *p, uint64_t done, uint64_t whole)
{
    int64_t now = clock_monotonic_us();

    if (whole && done > whole)
        done = whole;
    if (!p->terminal)
        show_tenths(p, done, whole);
    else if (now - p->shown_us >= SHOW_EVERY_US) {
        p->shown_us = now;
        if (whole)
            show_bar(p, done, whole, now);
        else
            show_count(p, done, now);
    }
}

void progress_end(struct progress *p)
{
    if (p->terminal)
        fputs("\r\033[K", stderr);
}
