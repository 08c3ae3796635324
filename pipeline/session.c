/* A front end whose pieces go to a recogniser, and which asks it in a pause. */
#include "pipeline/session.h"

#include <errno.h>
#include <stdlib.h>

struct session {
    const struct model *model;
    struct recogniser *recogniser; /* owned */
    struct frontend *frontend;     /* owned; NULL before the first source */
    uint64_t next_id;
};

static void take_piece(void *user, const struct frontend_piece *piece)
{
    struct session *s = user;
    recogniser_take(s->recogniser, piece, &s->next_id);
}

static bool is_over(void *user)
{
    const struct session *s = user;
    return recogniser_is_over(s->recogniser);
}

int session_create(struct session **out, struct hearing *hearing,
                   const struct recogniser_config *text, struct error *error)
{
    struct session *s = calloc(1, sizeof(*s));
    *out = NULL;
    if (!s)
        return error_set(error, -ENOMEM, "no memory for a session");
    s->model = hearing->model;
    s->next_id = 1;
    int rc = s->model->encoder
                 ? recogniser_create(&s->recogniser, hearing, text, error)
                 : error_set(error, -ENOTSUP, "%s has no speech encoder", s->model->name);
    if (rc < 0) {
        session_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

void session_destroy(struct session *s)
{
    if (!s)
        return;
    frontend_destroy(s->frontend);
    recogniser_destroy(s->recogniser);
    free(s);
}

int session_begin(struct session *s, const struct endpoint_config *speech, struct error *error)
{
    frontend_destroy(s->frontend);
    s->frontend = NULL;
    recogniser_reset(s->recogniser);
    int rc = frontend_create(&s->frontend, speech, take_piece, s);
    if (rc < 0)
        return error_set(error, rc,
                         rc == -ENOMEM ? "no memory for a front end"
                                       : "what is said of an utterance's begin and end cannot be");
    frontend_set_judge(s->frontend, is_over);
    frontend_limit(s->frontend, model_longest_ms(s->model), model_tail_ms(s->model));
    return 0;
}

void session_push(struct session *s, const float *samples, size_t count)
{
    frontend_push(s->frontend, samples, count);
}

void session_flush(struct session *s)
{
    frontend_flush(s->frontend);
}

int64_t session_time_us(const struct session *s)
{
    return frontend_time_us(s->frontend);
}

struct recogniser *session_recogniser(struct session *s)
{
    return s->recogniser;
}
