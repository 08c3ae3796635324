/* An error message that names the culprit. Fallible functions return -errno and, where a number is
 * not enough, fill a struct error owned by the caller. Any thread; no allocation.
 */
#ifndef EARSHOT_BASE_ERROR_H
#define EARSHOT_BASE_ERROR_H

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

struct error {
    char message[512]; /* NUL-terminated, truncated when too long, plain as utf8.h has it */
};

/* Formats the message and returns code unchanged, so that `return error_set(e, -EINVAL, ...)` reads
 * well. e may be NULL. */
__attribute__((format(printf, 3, 4))) int error_set(struct error *e, int code, const char *format,
                                                    ...);

/* The same of a list of arguments. */
__attribute__((format(printf, 3, 0))) int error_set_list(struct error *e, int code,
                                                         const char *format, va_list args);

/* Writes the message and a line break to stderr, as plain as error_set makes it. */
__attribute__((format(printf, 1, 2))) void error_print(const char *format, ...);

#ifdef __cplusplus
}
#endif

#endif
