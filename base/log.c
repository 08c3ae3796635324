/* One write(2) a line, so that lines of two threads do not mix. sd-daemon(3): a line that begins
 * with <N> has syslog priority N; only the journal wants to see that. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int threshold = LOG_LEVEL_INFO; /* written by the main thread */
static bool to_journal;                       /* written once */
static pthread_once_t once = PTHREAD_ONCE_INIT;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

/* $JOURNAL_STREAM is "device:inode" of the journal's socket; children inherit the variable even
 * where their stderr goes elsewhere. */
static void find_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device = 0;
    unsigned long long inode = 0;
    struct stat st;
    if (stream == NULL || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
        return;
    to_journal = fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_write(enum log_level level, const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&threshold, memory_order_relaxed))
        return;
    pthread_once(&once, find_journal);
    char line[1024];
    int prefix = to_journal ? snprintf(line, sizeof(line), "<%d>", (int)level) : 0;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line + prefix, sizeof(line) - (size_t)prefix, format, args);
    va_end(args);
    if (length < 0)
        return;
    size_t end = (size_t)(prefix + length);
    if (end > sizeof(line) - 1)
        end = sizeof(line) - 1;
    /* A file name or a device name may hold a newline; it must not look like a second line. */
    for (size_t i = (size_t)prefix; i < end; i++) {
        if (line[i] == '\n')
            line[i] = ' ';
    }
    line[end] = '\n';
    ssize_t written = write(STDERR_FILENO, line, end + 1);
    (void)written; /* there is nowhere left to complain */
}
