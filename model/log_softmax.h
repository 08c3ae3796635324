/* Log probabilities of logits, on the host. */
#ifndef EARSHOT_MODEL_LOG_SOFTMAX_H
#define EARSHOT_MODEL_LOG_SOFTMAX_H

#include <stddef.h>

/* logs[classes] = log softmax(logits), which may be logs. What is not finite is as unlikely as can
 * be. */
void log_softmax(float *logs, const float *logits, size_t classes);

#endif
