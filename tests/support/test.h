/* cmocka, with what it needs before it: the order matters. */
#ifndef EARSHOT_TESTS_TEST_H
#define EARSHOT_TESTS_TEST_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#endif
