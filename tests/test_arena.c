#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void pieces_are_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    struct arena *arena;
    assert_int_equal(arena_create(&arena, 1000), 0);
    unsigned char *a = arena_alloc(arena, 1);
    unsigned char *b = arena_alloc(arena, 65);
    unsigned char *c = arena_alloc(arena, 100);
    assert_non_null(c);
    assert_int_equal((uintptr_t)a % 64, 0);
    assert_int_equal((uintptr_t)b % 64, 0);
    assert_true(b >= a + 1 && c >= b + 65);
    for (int i = 0; i < 100; i++)
        assert_int_equal(c[i], 0);
    assert_int_equal(arena_used(arena), 64 + 128 + 128);
    arena_destroy(arena);
}

static void a_spent_arena_gives_null(void **state)
{
    (void)state;
    struct arena *arena;
    assert_int_equal(arena_create(&arena, 128), 0);
    assert_non_null(arena_alloc(arena, 64));
    assert_null(arena_alloc(arena, 65));
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_non_null(arena_alloc(arena, 64));
    assert_null(arena_alloc(arena, 1));
    arena_destroy(arena);
}

static void reset_gives_the_same_memory_zeroed(void **state)
{
    (void)state;
    struct arena *arena;
    assert_int_equal(arena_create(&arena, 256), 0);
    unsigned char *a = arena_alloc(arena, 200);
    memset(a, 0xff, 200);
    arena_reset(arena);
    assert_int_equal(arena_used(arena), 0);
    unsigned char *b = arena_alloc(arena, 200);
    assert_ptr_equal(a, b);
    for (int i = 0; i < 200; i++)
        assert_int_equal(b[i], 0);
    arena_destroy(arena);
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    struct arena *arena;
    assert_true(arena_create(&arena, 0) < 0);
    assert_null(arena);
    assert_true(arena_create(&arena, SIZE_MAX) < 0);
    assert_null(arena);
    arena_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_zeroed_and_apart),
        cmocka_unit_test(a_spent_arena_gives_null),
        cmocka_unit_test(reset_gives_the_same_memory_zeroed),
        cmocka_unit_test(absurd_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
