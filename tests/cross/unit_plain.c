/* SPDX-License-Identifier: ISC */
/* tests/support/unit.c without the library Check. */
#include "tests/support/unit.h"

#include <stdbool.h>

static bool unit_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return true;
        }
    }
    return argc == 1;
}

int unit_run(const char *name, const TTest *const *tests, size_t n_tests,
             int argc, char **argv)
{
    int n_run = 0;

    printf("%s\n", name);
    for (size_t i = 0; i < n_tests; i++) {
        if (unit_wanted(tests[i]->name, argc, argv)) {
            printf("%s\n", tests[i]->name);
            fflush(stdout);
            tests[i]->fn();
            n_run++;
        }
    }
    printf("%d passed, 0 failed\n", n_run);
    return n_run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
