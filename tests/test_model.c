/* The golden vectors of tests/golden: a tiny random model against PyTorch and the public rwkv
 * package, stage by stage; and model files that are wrong. */
#include "model/model.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/npy.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN "tests/golden/"
#define TINY GOLDEN "tiny.gguf"
#define TINY_F32 "tiny-f32.gguf.tmp"

static const double golden_error = 1e-4;

struct fixture {
    struct backend *be;
    struct model *model;
    struct backbone_scratch *scratch;
    struct state *state;
};

static int setup(void **context)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error error = {""};
    assert_non_null(f);
    assert_int_equal(backend_cpu_create(&f->be, 1), 0);
    gguf_write_retyped(TINY_F32, TINY, TENSOR_F32);
    int r = model_load(&f->model, TINY_F32, f->be, NULL, NULL, &error);
    unlink(TINY_F32);
    if (r < 0) {
        print_error("%s\n", error.message);
        return -1;
    }
    assert_int_equal(backbone_scratch_create(&f->scratch, f->model->backbone, 64, NULL), 0);
    assert_int_equal(state_create(&f->state, f->be, backbone_state_shape(f->model->backbone), 1),
                     0);
    *context = f;
    return 0;
}

static int teardown(void **context)
{
    struct fixture *f = *context;
    state_destroy(f->state);
    backbone_scratch_destroy(f->scratch);
    model_destroy(f->model);
    f->be->ops->destroy(f->be);
    free(f);
    return 0;
}

static struct npy golden(const char *name)
{
    char path[128];
    struct npy a;
    snprintf(path, sizeof(path), GOLDEN "%s.npy", name);
    assert_int_equal(npy_load(&a, path), 0);
    return a;
}

static void check(const char *stage, const float *got, const float *expected, size_t count)
{
    double error = relative_error(got, expected, count);
    print_message("%-14s %7zu values, relative error %.2e\n", stage, count, error);
    assert_true(error <= golden_error);
}

/* Backend memory to the heap. */
static float *fetch(struct backend *be, const float *p, size_t count)
{
    float *host = calloc(count, sizeof(host[0]));
    assert_non_null(host);
    be->ops->download(be, host, p, count);
    return host;
}

static void check_device(struct backend *be, const char *stage, const float *got,
                         const float *expected, size_t count)
{
    float *host = fetch(be, got, count);
    check(stage, host, expected, count);
    free(host);
}

/* All of the golden frames as encoder rows. */
static size_t encode(struct fixture *f, const struct npy *mel, float *rows)
{
    const struct encoder_info *info = &f->model->encoder->info;
    struct encoder_state *s;
    size_t made = 0;
    assert_int_equal(encoder_state_create(&s, f->model->encoder, NULL), 0);
    for (size_t at = 0; at < mel->shape[0]; at += info->max_input) {
        size_t left = mel->shape[0] - at;
        made +=
            encoder_push(s, mel->floats + at * mel->shape[1],
                         left < info->max_input ? left : info->max_input, rows + made * info->dim);
    }
    made += encoder_flush(s, rows + made * info->dim);
    encoder_state_destroy(s);
    return made;
}

static void the_encoder_gives_the_reference_rows(void **context)
{
    struct fixture *f = *context;
    struct npy mel = golden("mel");
    struct npy expected = golden("encoder");
    float *rows = f->be->ops->alloc(f->be, expected.count + 4096);
    assert_int_equal(encode(f, &mel, rows), expected.shape[0]);
    check_device(f->be, "encoder", rows, expected.floats, expected.count);
    f->be->ops->free(f->be, rows);
    npy_free(&mel);
    npy_free(&expected);
}

static void the_adapter_gives_the_reference_rows(void **context)
{
    struct fixture *f = *context;
    const struct adapter *a = f->model->adapter;
    struct adapter_state *s;
    struct npy input = golden("encoder");
    struct npy expected = golden("adapter");
    float *rows = f->be->ops->alloc(f->be, input.count);
    float *out = f->be->ops->alloc(f->be, expected.count + 4096);
    f->be->ops->upload(f->be, rows, input.floats, input.count);
    size_t made = 0;
    size_t most = f->model->encoder->info.max_rows;
    assert_int_equal(adapter_state_create(&s, a, 1, most, NULL), 0);
    for (size_t at = 0; at < input.shape[0]; at += most) {
        size_t left = input.shape[0] - at;
        size_t now = left < most ? left : most;
        made +=
            adapter_push(s, rows + at * input.shape[1], &now, out + made * adapter_dim(a), NULL);
    }
    made += adapter_flush(s, NULL, out + made * adapter_dim(a), NULL);
    adapter_state_destroy(s);
    assert_int_equal(made, expected.shape[0]);
    check_device(f->be, "adapter", out, expected.floats, expected.count);
    f->be->ops->free(f->be, rows);
    f->be->ops->free(f->be, out);
    npy_free(&input);
    npy_free(&expected);
}

static void the_head_hears_the_reference_phones(void **context)
{
    struct fixture *f = *context;
    struct npy input = golden("encoder");
    struct npy expected = golden("phones");
    float *rows = f->be->ops->alloc(f->be, input.count);
    float *out = malloc(expected.count * sizeof(float));
    assert_true(rows && out && f->model->phones);
    f->be->ops->upload(f->be, rows, input.floats, input.count);
    size_t most = f->model->encoder->info.max_rows;
    struct phones_state *s;
    assert_int_equal(phones_state_create(&s, f->model->phones, most, NULL), 0);
    for (size_t at = 0; at < expected.count; at += most) {
        size_t left = expected.count - at;
        phones_hear(s, rows + at * input.shape[1], left < most ? left : most, out + at, NULL);
    }
    phones_state_destroy(s);
    double error = relative_error(out, expected.floats, expected.count);
    printf("  phones: relative error %.1e\n", error);
    assert_true(error < 1e-5);
    f->be->ops->free(f->be, rows);
    free(out);
    npy_free(&input);
    npy_free(&expected);
}

static void check_state(struct fixture *f)
{
    struct npy att = golden("state_att_x");
    struct npy wkv = golden("state_s");
    struct npy ffn = golden("state_ffn_x");
    check_device(f->be, "state att_shift", f->state->att_shift, att.floats, att.count);
    check_device(f->be, "state wkv", f->state->wkv, wkv.floats, wkv.count);
    check_device(f->be, "state ffn_shift", f->state->ffn_shift, ffn.floats, ffn.count);
    npy_free(&att);
    npy_free(&wkv);
    npy_free(&ffn);
}

static void tokens_give_the_reference_logits_and_states(void **context)
{
    struct fixture *f = *context;
    struct npy tokens = golden("tokens");
    struct npy expected = golden("logits");
    const uint32_t *ids = (const uint32_t *)tokens.ints;
    size_t vocab = backbone_vocab(f->model->backbone);
    float *logits = f->be->ops->alloc(f->be, expected.count);
    for (size_t i = 0; i < tokens.count; i++) {
        backbone_push_tokens(f->scratch, f->state, 0, ids + i, 1, logits + i * vocab);
    }
    check_device(f->be, "logits", logits, expected.floats, expected.count);
    check_state(f);

    state_reset(f->state);
    backbone_push_tokens(f->scratch, f->state, 0, ids, tokens.count, logits);
    check_device(f->be, "logits at once", logits, expected.floats + expected.count - vocab, vocab);
    check_state(f);
    f->be->ops->free(f->be, logits);
    npy_free(&tokens);
    npy_free(&expected);
}

static void what_is_heard_is_written_down(void **context)
{
    struct fixture *f = *context;
    struct model *m = f->model;
    struct npy rows = golden("adapter");
    struct npy first = golden("heard_logits");
    struct npy greedy = golden("greedy");
    float *input = f->be->ops->alloc(f->be, rows.count);
    float *logits = f->be->ops->alloc(f->be, backbone_vocab(m->backbone));
    f->be->ops->upload(f->be, input, rows.floats, rows.count);
    backbone_push_rows(f->scratch, f->state, 0, input, rows.shape[0], NULL);
    backbone_push_tokens(f->scratch, f->state, 0, m->caption.ids, m->caption.count, logits);
    check_device(f->be, "heard logits", logits, first.floats, first.count);
    for (size_t i = 0; i < greedy.count; i++) {
        uint32_t id = decoding_greedy(&m->decoding, f->be, logits, backbone_vocab(m->backbone));
        assert_int_equal(id, greedy.ints[i]);
        backbone_push_tokens(f->scratch, f->state, 0, &id, 1, logits);
    }
    f->be->ops->free(f->be, input);
    f->be->ops->free(f->be, logits);
    npy_free(&rows);
    npy_free(&first);
    npy_free(&greedy);
}

static void prompts_and_decoding_come_from_the_file(void **context)
{
    struct fixture *f = *context;
    const struct model *m = f->model;
    assert_int_equal(m->audio_begin.count, 0);
    assert_int_equal(m->caption.count, 1);
    assert_int_equal(m->caption.ids[0], 257);
    assert_int_equal(m->reply.ids[0], 258);
    assert_int_equal(m->text_begin.ids[0], 259);
    assert_true(decoding_stops(&m->decoding, 24));
    assert_int_equal(m->decoding.ban_count, 1);
    assert_int_equal(m->decoding.ban[0], 0);
    assert_true(m->decoding.max_tokens > 0);
    assert_string_equal(m->name, "tiny random model for tests");
    assert_int_equal(tokenizer_size(m->tokenizer), backbone_vocab(m->backbone));
}

/* A copy of a model file with an edit; NULL with the error and its code. */
static struct model *load_copy_of(const char *of, struct backend *be, const struct gguf_edit *edit,
                                  int *code, struct error *error)
{
    struct gguf *g = NULL;
    assert_int_equal(gguf_open(&g, of, NULL), 0);
    struct bytes file = gguf_edited(g, edit);
    gguf_close(g);
    char path[] = "/tmp/earshot-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file.data, file.size), file.size);
    close(fd);
    struct model *m = NULL;
    *code = model_load(&m, path, be, NULL, NULL, error);
    assert_true((*code == 0) == (m != NULL));
    unlink(path);
    bytes_free(&file);
    return m;
}

static struct model *load_copy(struct backend *be, const struct gguf_edit *edit, int *code,
                               struct error *error)
{
    return load_copy_of(TINY, be, edit, code, error);
}

static void an_aligned_file_that_is_wrong_is_refused(void **context)
{
    struct fixture *f = *context;
    static const uint32_t ids[] = {1, 0};
    static const struct wrong {
        struct gguf_edit edit;
        int code;
        const char *says;
    } all[] = {
        {{.string_key = "earshot.captions", .string_value = "sung"}, -ENOTSUP, "captions \"sung\""},
        {{.drop_key = "earshot.aligned.delay_rows"}, -EINVAL, "earshot.aligned.delay_rows"},
        {{.u32_key = "earshot.aligned.delay_rows", .u32_value = 101}, -EINVAL, "is 101 (0 to 100)"},
        {{.drop_tensor = "encoder.phones.bias"}, -EINVAL, "encoder.phones.bias"},
        {{.drop_key = "earshot.language.2.pieces"}, -EINVAL, "earshot.language.2.pieces"},
        {{.drop_key = "earshot.aligned.confidence",
          .new_ids = "earshot.aligned.confidence",
          .ids = ids,
          .id_count = 2},
         -EINVAL,
         "earshot.aligned.confidence is an array of u32"},
        {{.drop_key = "earshot.aligned.confidence"}, 0, ""},
        {{.new_f32 = "earshot.aligned.letters_weight", .f32_value = 0.25f}, 0, ""},
        {{.new_f32 = "earshot.aligned.letters_weight", .f32_value = -0.25f},
         -EINVAL,
         "letters_weight is -0.25"},
        {{.drop_key = "earshot.encoder.letters",
          .new_f32 = "earshot.aligned.letters_weight",
          .f32_value = 0.25f},
         -EINVAL,
         "letters_weight is 0.25 (0 or more; with earshot.encoder.letters)"},
        {{0}, 0, ""},
        {{.drop_key = "earshot.encoder.letters"}, 0, ""},
        {{.string_key = "earshot.captions", .string_value = "prompted"}, 0, ""},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct error error = {""};
        int code;
        model_destroy(load_copy_of(GOLDEN "aligned.gguf", f->be, &all[i].edit, &code, &error));
        assert_int_equal(code, all[i].code);
        assert_true(code == 0 || strstr(error.message, all[i].says));
    }
}

static int load_edited(struct backend *be, const struct gguf_edit *edit, uint64_t *fingerprint,
                       struct error *error)
{
    int code = 0;
    struct model *m = load_copy(be, edit, &code, error);
    if (m && fingerprint) {
        *fingerprint = m->fingerprint;
    }
    model_destroy(m);
    return code;
}

static void a_file_may_say_how_a_text_is_asked(void **context)
{
    struct fixture *f = *context;
    static const uint32_t ids[] = {24, 258};
    const struct gguf_edit edit = {.new_bool = "earshot.prompt.space",
                                   .bool_value = false,
                                   .new_ids = "earshot.prompt.ask",
                                   .ids = ids,
                                   .id_count = 2};
    assert_true(f->model->space);
    assert_int_equal(f->model->ask.count, 1);
    assert_int_equal(f->model->ask.ids[0], 258); /* as a reply */
    int code = 0;
    struct error error = {""};
    struct model *m = load_copy(f->be, &edit, &code, &error);
    assert_non_null(m);
    assert_false(m->space);
    assert_int_equal(m->ask.count, 2);
    assert_memory_equal(m->ask.ids, ids, sizeof(ids));
    assert_int_equal(m->reply.count, 1);
    model_destroy(m);

    static const uint32_t outside[] = {300};
    const struct gguf_edit wrong = {.new_ids = "earshot.prompt.ask", .ids = outside, .id_count = 1};
    assert_null(load_copy(f->be, &wrong, &code, &error));
    assert_int_equal(code, -EINVAL);
    assert_non_null(strstr(error.message, "earshot.prompt.ask names token 300"));
}

struct wrong {
    struct gguf_edit edit;
    int code;
    const char *says; /* in the message */
    const char *says_too;
};

static void a_wrong_model_is_refused_with_the_culprit(void **context)
{
    static const struct wrong all[] = {
        {{.drop_tensor = "backbone.head.weight"}, -EINVAL, "backbone.head.weight", "missing"},
        {{.drop_tensor = "encoder.blocks.1.conv.dw.bias"}, -EINVAL, "blocks.1.conv.dw.bias", "is"},
        {{.drop_tensor = "adapter.proj.2.weight"}, -EINVAL, "adapter.proj.2.weight", "missing"},
        {{.drop_tensor = "backbone.blocks.1.att.v0"}, -EINVAL, "blocks.1.att.v0", "missing"},
        {{.drop_tensor = "backbone.blocks.1.att.w1"}, -EINVAL, "blocks.1.att.w1", "missing"},
        {{.swap_tensor = "backbone.emb.weight"}, -EINVAL, "[128, 300]", "expected [300, 128]"},
        {{.swap_tensor = "backbone.blocks.0.att.w1"}, -EINVAL, "att.w1", "expected"},
        {{.swap_tensor = "encoder.conv1.weight"}, -EINVAL, "[32, 80, 3]", "[32, 3, 80]"},
        {{.spoil_tensor = "backbone.ln_out.bias"}, -EINVAL, "backbone.ln_out.bias", "finite"},
        {{.spoil_tensor = "encoder.norm.scale"}, -EINVAL, "encoder.norm.scale", "finite"},
        {{.spoil_tensor = "encoder.conv1.weight"}, -EINVAL, "encoder.conv1.weight", "finite"},
        {{.spoil_tensor = "backbone.emb.weight"}, -EINVAL, "backbone.emb.weight", "finite"},
        {{.retype_tensor = "backbone.ln_out.bias"}, -EINVAL, "backbone.ln_out.bias", "type 14"},
        {{.retype_tensor = "backbone.emb.weight"}, -EINVAL, "backbone.emb.weight", "type 14"},
        {{.drop_key = "earshot.backbone.dim"}, -EINVAL, "earshot.backbone.dim", "missing"},
        {{.drop_key = "earshot.encoder.rope_base"}, -EINVAL, "earshot.encoder.rope_base", "miss"},
        {{.drop_key = "earshot.vocab.bytes"}, -EINVAL, "earshot.vocab.bytes", "missing"},
        {{.drop_key = "earshot.encoder.type"}, -EINVAL, "earshot.encoder.type", "missing"},
        {{.drop_key = "earshot.format_version"}, -EINVAL, "earshot.format_version", "missing"},
        {{.u32_key = "earshot.format_version", .u32_value = 2}, -ENOTSUP, "format_version 2", ""},
        {{.u32_key = "earshot.backbone.layers", .u32_value = UINT32_MAX}, -EINVAL, "layers", ""},
        {{.u32_key = "earshot.backbone.layers", .u32_value = 3}, -EINVAL, "blocks.2.", "missing"},
        {{.u32_key = "earshot.backbone.dim", .u32_value = 0}, -EINVAL, "earshot.backbone.dim", ""},
        {{.u32_key = "earshot.backbone.head_size", .u32_value = 32}, -ENOTSUP, "heads of 32", ""},
        {{.u32_key = "earshot.encoder.heads", .u32_value = 5},
         -EINVAL,
         "earshot.encoder.heads",
         ""},
        {{.u32_key = "earshot.encoder.window", .u32_value = 1 << 30}, -EINVAL, "window", ""},
        {{.u32_key = "earshot.encoder.conv_kernel", .u32_value = 7}, -EINVAL, "conv.dw", "[7, 32]"},
        {{.u32_key = "earshot.adapter.padding", .u32_value = 9}, -EINVAL, "adapter.padding", ""},
        {{.u32_key = "earshot.adapter.stride", .u32_value = 4}, -EINVAL, "adapter.stride", ""},
        {{.u32_key = "earshot.decode.max_tokens", .u32_value = 0}, -EINVAL, "max_tokens", ""},
        {{.u32_key = "earshot.prompt.reply", .u32_value = 1}, -EINVAL, "prompt.reply", "u32"},
        {{.string_key = "earshot.encoder.type", .string_value = "x"}, -ENOTSUP, "\"x\"", "type"},
        {{.string_key = "general.architecture", .string_value = "a"}, -ENOTSUP, "\"a\"", "earshot"},
    };
    struct fixture *f = *context;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct error error = {""};
        assert_int_equal(load_edited(f->be, &all[i].edit, NULL, &error), all[i].code);
        if (!strstr(error.message, all[i].says) || !strstr(error.message, all[i].says_too) ||
            !strstr(error.message, "/tmp/earshot-test-")) {
            fail_msg("case %zu: \"%s\" lacks \"%s\"", i, error.message, all[i].says);
        }
    }
}

static void a_model_without_an_encoder_is_for_text(void **context)
{
    struct fixture *f = *context;
    const struct gguf_edit edit = {.string_key = "earshot.encoder.type", .string_value = "none"};
    struct error error = {""};
    assert_int_equal(load_edited(f->be, &edit, NULL, &error), 0);
}

static void the_fingerprint_tells_models_apart(void **context)
{
    struct fixture *f = *context;
    const struct gguf_edit same = {0};
    const struct gguf_edit other = {.u32_key = "earshot.decode.max_tokens", .u32_value = 77};
    uint64_t a = 0;
    uint64_t b = 0;
    assert_int_equal(load_edited(f->be, &same, &a, NULL), 0);
    assert_int_equal(load_edited(f->be, &same, &b, NULL), 0);
    assert_true(a == b && a != 0);
    assert_int_equal(load_edited(f->be, &other, &b, NULL), 0);
    assert_true(a != b);
}

static void a_missing_file_is_named(void **context)
{
    struct fixture *f = *context;
    struct model *m = NULL;
    struct error error = {""};
    assert_int_equal(model_load(&m, "/nonexistent/x.gguf", f->be, NULL, NULL, &error), -ENOENT);
    assert_non_null(strstr(error.message, "/nonexistent/x.gguf"));
    assert_null(m);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(the_encoder_gives_the_reference_rows),
        CASE(the_adapter_gives_the_reference_rows),
        CASE(the_head_hears_the_reference_phones),
        CASE(tokens_give_the_reference_logits_and_states),
        CASE(what_is_heard_is_written_down),
        CASE(prompts_and_decoding_come_from_the_file),
        CASE(a_file_may_say_how_a_text_is_asked),
        CASE(an_aligned_file_that_is_wrong_is_refused),
        CASE(a_wrong_model_is_refused_with_the_culprit),
        CASE(a_model_without_an_encoder_is_for_text),
        CASE(the_fingerprint_tells_models_apart),
        CASE(a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
