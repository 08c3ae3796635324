/* Texts said aloud by Speech Dispatcher, whose library (libspeechd) is loaded when it is needed.
 * Its voice, its speed and where it sounds are Speech Dispatcher's own settings. One at a time;
 * main thread.
 */
#ifndef EARSHOT_CLI_SPEECH_H
#define EARSHOT_CLI_SPEECH_H

#include "base/error.h"

#include <signal.h>
#include <stdbool.h>

enum {
    SPEECH_SIGNAL = SIGUSR1, /* comes to this thread when a text is over */
};

/* Starts Speech Dispatcher, if nothing else has. 0 or -errno with a message. */
int speech_open(struct error *error);
void speech_close(void);

/* Behind those that are not over yet. A Speech Dispatcher that has ended is started again. 0 or
 * -errno with a message. */
int speech_say(const char *text, struct error *error);
void speech_cancel(void);
bool speech_sounds(void);    /* a text is not over yet */
bool speech_has_ended(void); /* Speech Dispatcher itself: nothing will be over any more */

#endif
