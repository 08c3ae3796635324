/* A whole model file, loaded: encoder, adapter, backbone, tokenizer, prompts. Either all of it or
 * an error that names the culprit. Owned and used by one thread at a time.
 */
#ifndef EARSHOT_MODEL_MODEL_H
#define EARSHOT_MODEL_MODEL_H

#include "base/error.h"
#include "kernels/backend.h"
#include "model/adapter.h"
#include "model/backbone.h"
#include "model/encoder.h"
#include "model/gguf.h"
#include "model/language.h"
#include "model/letters.h"
#include "model/phones.h"
#include "model/sampler.h"
#include "model/spelling.h"
#include "model/state.h"
#include "model/tokenizer.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MODEL_PROMPT_MAX = 64, /* ids of one prompt */
};

#define MODEL_ENDLESS SIZE_MAX

struct prompt {
    uint32_t ids[MODEL_PROMPT_MAX];
    size_t count; /* 0: the model has no such prompt */
};

/* How a caption comes about. */
enum model_captions {
    MODEL_CAPTIONS_PROMPTED, /* the rows of an utterance, then a prompt, then the text */
    MODEL_CAPTIONS_ALIGNED,  /* by CTC over the rows of the backbone, and a beam */
};

/* How often what has a probability is right: 1 / (1 + exp(-(scale logit(p) + shift))). */
struct odds_line {
    float scale, shift;
};

struct model {
    struct gguf *gguf;
    struct backend *backend; /* not owned */
    struct encoder *encoder; /* NULL: a text-only model */
    struct adapter *adapter; /* NULL with encoder */
    struct phones *phones;   /* NULL where the file has no such head */
    struct letters *letters; /* that its classes are; NULL: the file does not say */
    struct backbone *backbone;
    struct tokenizer *tokenizer;
    struct prompt audio_begin, caption, reply, text_begin;
    struct prompt ask;    /* after a text that is asked; where the file has none, as reply */
    struct prompt intent; /* after a caption: what it asks for is written */
    enum model_captions captions;
    size_t delay_rows;         /* of aligned captions: silence that is heard behind an utterance */
    struct spelling *spelling; /* of aligned captions; NULL: the search joins no letters */
    float letters_weight;      /* of ln p(letters) in the search */
    struct odds_line word_odds, intent_odds; /* of their confidences */
    struct language *language;               /* of aligned captions; NULL: the file has none */
    struct decoding decoding;
    bool space;           /* a text that is asked gets a leading space */
    bool carry;           /* the state goes on from utterance to utterance */
    uint64_t fingerprint; /* of metadata and tensor table: which model a saved state belongs to */
    char name[64];        /* general.name */
};

/* Somebody who is told how much of a model's file is loaded, each whole per cent once. */
struct model_watch {
    void (*loaded)(void *user, int percent);
    void *user;
};

/* encoder: how an encoder that looks both ways streams, NULL for the default. watch: NULL for
 * nobody. 0 or -errno: -ENOTSUP for a format or an encoder that this version doesn't know, -EINVAL
 * for a file that contradicts itself, and what reading a file can give. */
int model_load(struct model **out, const char *path, struct backend *be,
               const struct encoder_options *encoder, const struct model_watch *watch,
               struct error *error);
void model_destroy(struct model *m);

/* Of a model with an encoder. From one row of the backbone to the next, in ms. */
size_t model_row_ms(const struct model *m);
/* The longest utterance in ms; 0: any; MODEL_ENDLESS: any, and none needs to be cut. */
size_t model_longest_ms(const struct model *m);
/* So much silence in ms after a word brings the text of it; 0: the end of the utterance does. */
size_t model_tail_ms(const struct model *m);

/* p: 0 to 1; above 0 whatever it is. */
float odds_line_at(struct odds_line line, double p);

#endif
