/* One pass of the backbone has room for the rows of one ear. */
#include "model/hearing.h"

#include <errno.h>
#include <stdlib.h>

enum {
    HEARING_PASS_ROWS = 64, /* enough to share a weight's way through the cache */
};

int hearing_create(struct hearing **out, const struct model *model, struct error *error)
{
    struct hearing *h = calloc(1, sizeof(*h));
    *out = NULL;
    if (!h)
        return error_set(error, -ENOMEM, "out of memory");
    h->model = model;
    int rc = backbone_scratch_create(&h->scratch, model->backbone, HEARING_PASS_ROWS, error);
    if (rc < 0) {
        hearing_destroy(h);
        return rc;
    }
    *out = h;
    return 0;
}

void hearing_destroy(struct hearing *h)
{
    if (!h)
        return;
    backbone_scratch_destroy(h->scratch);
    free(h);
}
