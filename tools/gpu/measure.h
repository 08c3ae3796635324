/* What gpubench measures, and with what. */
#ifndef EARSHOT_TOOLS_GPU_MEASURE_H
#define EARSHOT_TOOLS_GPU_MEASURE_H

#include "kernels/backend.h"
#include "model/backbone.h"
#include "model/model.h"

double measure_now(void); /* seconds */
/* Until what was started is done; p: any backend memory. */
void measure_wait(struct backend *be, const float *p);

/* Live streams side by side, each speaking so long: the most of which 99 of 100 texts come in time.
 * 0 or -errno. */
int measure_live(struct backbone_scratch *scratch, double heard_s, struct error *error);

/* A whole model: its encoder over 10 s, and from the end of speech to a text. 0 or -errno. */
int measure_hearing(const struct model *m, struct error *error);

#endif
