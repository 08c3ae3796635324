/* The bar: name, share, megabytes, speed and the time that is left. */
#include "models/progress.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    BAR = 24,
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

static void show_bar(struct progress *p, uint64_t done, uint64_t whole, int64_t now)
{
    char bar[BAR + 1], line[256];
    double rate = speed(p, done, now), share = (double)done / (double)whole;
    int filled = (int)(share * BAR), left_s = rate > 0 ? (int)((double)(whole - done) / rate) : 0;

    memset(bar, '-', BAR);
    memset(bar, '#', (size_t)filled);
    bar[BAR] = '\0';
    snprintf(line, sizeof line, "%s [%s] %3.0f %%  %.1f of %.1f MB  %.1f MB/s  %d:%02d left",
             p->name, bar, 100 * share, (double)done / 1e6, (double)whole / 1e6, rate / 1e6,
             left_s / 60, left_s % 60);
    fprintf(stderr, "\r%.*s\033[K", columns() - 1, line);
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
