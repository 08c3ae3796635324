/* ALSA and JACK complain on stderr about each device that is not there. */
#ifndef EARSHOT_AUDIO_QUIET_H
#define EARSHOT_AUDIO_QUIET_H

/* Between the two nothing comes on stderr; begin gives what end wants. */
int quiet_begin(void);
void quiet_end(int saved);

#endif
