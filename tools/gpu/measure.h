/* What gpubench measures, and with what. */
#ifndef EARSHOT_TOOLS_GPU_MEASURE_H
#define EARSHOT_TOOLS_GPU_MEASURE_H

#include "kernels/backend.h"
#include "model/backbone.h"
#include "model/model.h"

double measure_now(void); /* seconds */
/* Until what was started is done; p: any backend memory. */
void measure_wait(struct backend *be, const float *p);

/* Figures go besides to the end of a file, each a line of what is measured (size and type), the
 * figure's name, its value and its unit, with tabs between. 0 or -errno after a message. */
int measure_figures_open(const char *path, const char *size, const char *type);
void measure_figures_close(void);
__attribute__((format(printf, 3, 4))) void measure_figure(double value, const char *unit,
                                                          const char *name, ...);

/* Live streams side by side, each speaking so long: the most of which 99 of 100 texts come in time,
 * of counts [n] in rising order, at most 480. 0 or -errno. */
int measure_live(struct backbone_scratch *scratch, double heard_s, const size_t *counts, size_t n,
                 struct error *error);

/* A whole model: its encoder over 5 s, and from the end of speech to a text. 0 or -errno. */
int measure_hearing(const struct model *m, struct error *error);

#endif
