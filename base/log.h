/* Log lines on stderr; where stderr is the journal, messages for it, with priority and fields.
 * Any thread but the audio callback. Never a word of a transcript.
 */
#ifndef EARSHOT_BASE_LOG_H
#define EARSHOT_BASE_LOG_H

#include "base/journal.h"

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7,
};

void log_set_level(enum log_level level); /* default LOG_LEVEL_INFO */
__attribute__((format(printf, 2, 3))) void log_write(enum log_level level, const char *format, ...);

/* The same, and what the journal shall know of it besides: id and fields as journal_send has them.
 */
__attribute__((format(printf, 4, 5))) void log_event(enum log_level level, const char *id,
                                                     const struct log_field *fields,
                                                     const char *format, ...);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
