/* What the tests turn of the emulated device. In a module that a program has loaded, the device is
 * broken while the file is there that $EARSHOT_EMULATION_BROKEN names.
 */
#ifndef EARSHOT_TESTS_CUDA_EMULATION_EMULATION_H
#define EARSHOT_TESTS_CUDA_EMULATION_EMULATION_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum emulation_order { EMULATION_FORWARDS, EMULATION_BACKWARDS };

void emulation_set_order(enum emulation_order order); /* of fibers and blocks */
/* So many calls of the runtime succeed, those behind them fail, as after an error of a device.
 * -1: none fails. */
void emulation_fail_after(int calls);
void emulation_set_memory(size_t bytes); /* an allocation of more fails */
size_t emulation_graphs(void);           /* launched so far */
size_t emulation_refusals(void);         /* of calls that a capture forbids, so far */
size_t emulation_contexts(void);         /* of devices, open */

#ifdef __cplusplus
}
#endif

#endif
