/* A whole model over any header: the input is followed by zeros, enough for the weights of the tiny
 * model whose header is the seed. What loads must run. */
#include "model/model.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ZEROS = 5 << 18,
};

static void run_backbone(const struct model *m, const float *rows, size_t count)
{
    struct backend *be = m->backend;
    struct backbone_scratch *scratch = NULL;
    struct state *s = NULL;
    float *logits = be->ops->alloc(be, backbone_vocab(m->backbone));
    if (logits && backbone_scratch_create(&scratch, m->backbone, 64, NULL) == 0 &&
        state_create(&s, be, backbone_state_shape(m->backbone), 1) == 0) {
        backbone_push_rows(scratch, s, 0, rows, count, NULL);
        backbone_push_tokens(scratch, s, 0, m->caption.ids, m->caption.count, logits);
        decoding_greedy(&m->decoding, be, logits, backbone_vocab(m->backbone));
    }
    state_destroy(s);
    backbone_scratch_destroy(scratch);
    be->ops->free(be, logits);
}

static void run(const struct model *m)
{
    struct backend *be = m->backend;
    const struct encoder *e = m->encoder;
    if (!e) {
        run_backbone(m, NULL, 0);
        return;
    }
    size_t bound = e->info.max_rows;
    float *frames = calloc(e->info.max_input * e->info.input_dim, sizeof(frames[0]));
    float *rows = be->ops->alloc(be, bound * e->info.dim);
    float *heard =
        be->ops->alloc(be, adapter_rows_bound(m->adapter, bound) * backbone_dim(m->backbone));
    struct encoder_state *ear = NULL;
    struct adapter_state *adapter = NULL;
    if (frames && rows && heard && encoder_state_create(&ear, e, NULL) == 0 &&
        adapter_state_create(&adapter, m->adapter, 1, bound, NULL) == 0) {
        size_t count = encoder_push(ear, frames, e->info.max_input, rows);
        count = adapter_push(adapter, rows, &count, heard, NULL);
        run_backbone(m, heard, count);
        while ((count = encoder_flush(ear, rows)) > 0) {
            adapter_push(adapter, rows, &count, heard, NULL);
        }
        run_backbone(m, heard, adapter_flush(adapter, NULL, heard, NULL));
    }
    adapter_state_destroy(adapter);
    encoder_state_destroy(ear);
    free(frames);
    be->ops->free(be, rows);
    be->ops->free(be, heard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct backend *be;
    if (!be && backend_cpu_create(&be, 1) < 0) {
        abort();
    }
    int fd = memfd_create("model", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
        ftruncate(fd, (off_t)size + ZEROS) < 0) {
        abort();
    }
    char path[32];
    struct error error;
    struct model *m = NULL;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (model_load(&m, path, be, NULL, NULL, &error) == 0) {
        run(m);
    }
    model_destroy(m);
    close(fd);
    return 0;
}
