/* A state survives its file exactly; a file that is not its model's state changes nothing. */
#include "model/state.h"
#include "tests/support/test.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct state_shape shape = {.layers = 2, .dim = 128, .heads = 2, .head_size = 64};
static const uint64_t fingerprint = 0x1234567890abcdef;

struct fixture {
    struct backend *be;
    struct state *state, *other;
    char path[64];
};

static void fill(struct state *s, float first)
{
    float host[128];
    for (size_t i = 0; i < 128; i++) {
        host[i] = first + (float)i;
    }
    s->backend->ops->upload(s->backend, s->att_shift + 7, host, 128);
    s->backend->ops->upload(s->backend, s->wkv + 1000, host, 128);
    s->backend->ops->upload(s->backend, s->ffn_shift + 128, host, 128);
    s->rows[0] = 12345678901;
}

static int setup(void **context)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(backend_cpu_create(&f->be, 1), 0);
    assert_int_equal(state_create(&f->state, f->be, &shape, 1), 0);
    assert_int_equal(state_create(&f->other, f->be, &shape, 1), 0);
    fill(f->state, 1.0f);
    fill(f->other, 1000.0f);
    snprintf(f->path, sizeof(f->path), "/tmp/earshot-test-state-%d", (int)getpid());
    *context = f;
    return 0;
}

static int teardown(void **context)
{
    struct fixture *f = *context;
    unlink(f->path);
    state_destroy(f->state);
    state_destroy(f->other);
    f->be->ops->destroy(f->be);
    free(f);
    return 0;
}

static void *encoded(const struct state *s)
{
    void *data = malloc(state_bytes(s));
    assert_non_null(data);
    state_encode(s, fingerprint, data);
    return data;
}

static bool equal(const struct state *a, const struct state *b)
{
    void *x = encoded(a);
    void *y = encoded(b);
    bool r = memcmp(x, y, state_bytes(a)) == 0;
    free(x);
    free(y);
    return r;
}

static void a_new_and_a_reset_state_are_empty(void **context)
{
    struct fixture *f = *context;
    struct state *empty = NULL;
    assert_int_equal(state_create(&empty, f->be, &shape, 1), 0);
    assert_false(equal(f->state, empty));
    state_reset(f->state);
    assert_true(equal(f->state, empty));
    assert_int_equal(empty->rows[0], 0);
    state_destroy(empty);
}

static void a_copy_is_independent(void **context)
{
    struct fixture *f = *context;
    state_copy(f->other, f->state);
    assert_true(equal(f->other, f->state));
    assert_true(f->other->rows[0] == f->state->rows[0]);
    fill(f->state, 5.0f);
    assert_false(equal(f->other, f->state));
    void *before = encoded(f->other);
    state_reset(f->state);
    void *after = encoded(f->other);
    assert_memory_equal(before, after, state_bytes(f->other));
    free(before);
    free(after);
}

static void a_file_brings_it_back_exactly(void **context)
{
    struct fixture *f = *context;
    struct error error = {""};
    assert_int_equal(state_save(f->state, fingerprint, f->path, &error), 0);
    assert_int_equal(state_load(f->other, fingerprint, f->path, &error), 0);
    assert_true(equal(f->other, f->state));
    assert_true(f->other->rows[0] == 12345678901);
}

/* Decoding says so and changes nothing. */
static void refused(struct fixture *f, const void *data, size_t size, int code, const char *says)
{
    struct error error = {""};
    void *before = encoded(f->other);
    assert_int_equal(state_decode(f->other, fingerprint, data, size, &error), code);
    if (!strstr(error.message, says)) {
        fail_msg("\"%s\" lacks \"%s\"", error.message, says);
    }
    void *after = encoded(f->other);
    assert_memory_equal(before, after, state_bytes(f->other));
    free(before);
    free(after);
}

static void every_truncation_is_refused(void **context)
{
    struct fixture *f = *context;
    char *data = encoded(f->state);
    size_t whole = state_bytes(f->state);
    for (size_t size = 0; size < whole; size += size < 80 ? 1 : 4001) {
        void *part = malloc(size + !size);
        assert_non_null(part);
        memcpy(part, data, size);
        refused(f, part, size, -EINVAL, size < 64 ? "truncated" : "bytes");
        free(part);
    }
    free(data);
}

static void every_damaged_byte_is_noticed(void **context)
{
    struct fixture *f = *context;
    unsigned char *data = encoded(f->state);
    size_t whole = state_bytes(f->state);
    for (size_t i = 0; i < whole; i += i < 80 ? 1 : 6007) {
        struct error error = {""};
        data[i] ^= 0x10;
        assert_true(state_decode(f->other, fingerprint, data, whole, &error) < 0);
        assert_true(strlen(error.message) > strlen("memory: "));
        data[i] ^= 0x10;
    }
    assert_int_equal(state_decode(f->other, fingerprint, data, whole, NULL), 0);
    free(data);
}

static void what_is_wrong_is_said(void **context)
{
    struct fixture *f = *context;
    char *data = encoded(f->state);
    size_t size = state_bytes(f->state);
    data[0] = 'e';
    refused(f, data, size, -EINVAL, "magic");
    data[0] = 'E';
    data[8] = 9;
    refused(f, data, size, -ENOTSUP, "version 9");
    data[8] = 1;
    data[size - 1] ^= 1;
    refused(f, data, size, -EINVAL, "checksum");
    state_encode(f->state, fingerprint + 1, data);
    refused(f, data, size, -EINVAL, "another model");
    free(data);

    struct state *small = NULL;
    const struct state_shape other = {.layers = 1, .dim = 128, .heads = 2, .head_size = 64};
    assert_int_equal(state_create(&small, f->be, &other, 1), 0);
    data = encoded(small);
    refused(f, data, state_bytes(small), -EINVAL, "shape (1 layers of 128)");
    free(data);
    state_destroy(small);
}

static void a_state_that_is_not_finite_is_refused(void **context)
{
    struct fixture *f = *context;
    f->be->ops->upload(f->be, f->state->wkv, &(const float){NAN}, 1);
    void *data = encoded(f->state);
    refused(f, data, state_bytes(f->state), -EINVAL, "value 256 is not finite");
    free(data);
}

static void a_file_that_is_not_there_is_named(void **context)
{
    struct fixture *f = *context;
    struct error error = {""};
    assert_int_equal(state_load(f->state, fingerprint, "/nonexistent/state", &error), -ENOENT);
    assert_non_null(strstr(error.message, "/nonexistent/state"));
    assert_true(state_save(f->state, fingerprint, "/nonexistent/state", &error) < 0);
    assert_non_null(strstr(error.message, "/nonexistent"));
    assert_int_equal(state_load(f->state, fingerprint, "CMakeLists.txt", &error), -EINVAL);
    assert_non_null(strstr(error.message, "CMakeLists.txt: not a saved state"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_new_and_a_reset_state_are_empty),     CASE(a_copy_is_independent),
        CASE(a_file_brings_it_back_exactly),         CASE(every_truncation_is_refused),
        CASE(every_damaged_byte_is_noticed),         CASE(what_is_wrong_is_said),
        CASE(a_state_that_is_not_finite_is_refused), CASE(a_file_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
