/* Silence that an ear does not send: packets go on while somebody speaks, from half a second before
 * to a second after. One thread; allocates at create only.
 */
#ifndef EARSHOT_BRIDGES_EAR_GATE_H
#define EARSHOT_BRIDGES_EAR_GATE_H

#include "bridges/ear_sound.h"

struct ear_gate;

/* packet: the next one that is sent; NULL: one that is left out. */
typedef void ear_gate_function(void *user, const int16_t packet[EAR_PACKET]);

int ear_gate_create(struct ear_gate **out); /* 0 or -ENOMEM */
void ear_gate_destroy(struct ear_gate *g);
/* Each packet is told of once, in order, in this call or a later one. */
void ear_gate_push(struct ear_gate *g, const int16_t packet[EAR_PACKET],
                   ear_gate_function *function, void *user);

#endif
