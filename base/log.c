/* One datagram or one write(2) a line, so that lines of two threads do not mix. Where the journal's
 * socket does not take it, the line goes to stderr as sd-daemon(3) has it: <N> in front of it is
 * its priority. */
#include "base/log.h"

#include "base/utf8.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_int threshold = LOG_LEVEL_INFO; /* written by the main thread */
static bool to_journal, has_socket;           /* written once, */
static struct journal journal;                /* as this is */
static pthread_once_t once = PTHREAD_ONCE_INIT;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

static void find_journal(void)
{
    const char *path = getenv("EARSHOT_JOURNAL"); /* a test's */
    to_journal = journal_has(STDERR_FILENO);
    has_socket = to_journal && journal_open(&journal, path ? path : JOURNAL_SOCKET) == 0;
}

static void write_line(enum log_level level, const char *text)
{
    char line[1100];
    int prefix = to_journal ? snprintf(line, sizeof(line), "<%d>", (int)level) : 0;
    int length = snprintf(line + prefix, sizeof(line) - 1 - (size_t)prefix, "%s", text);
    size_t end = (size_t)(prefix + length);
    line[end] = '\n';
    ssize_t written = write(STDERR_FILENO, line, end + 1);
    (void)written; /* there is nowhere left to complain */
}

__attribute__((format(printf, 4, 0))) static void tell(enum log_level level, const char *id,
                                                       const struct log_field *fields,
                                                       const char *format, va_list args)
{
    char text[1024];
    if ((int)level > atomic_load_explicit(&threshold, memory_order_relaxed))
        return;
    pthread_once(&once, find_journal);
    if (vsnprintf(text, sizeof text, format, args) < 0)
        return;
    utf8_make_plain(text); /* a name in it must not look like a second line, or move the cursor */
    if (!has_socket || journal_send(&journal, (int)level, text, id, fields) != 0)
        write_line(level, text);
}

void log_write(enum log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(level, NULL, NULL, format, args);
    va_end(args);
}

void log_event(enum log_level level, const char *id, const struct log_field *fields,
               const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(level, id, fields, format, args);
    va_end(args);
}
