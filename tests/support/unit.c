/* SPDX-License-Identifier: ISC */
#include "tests/support/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    Suite *suite = suite_create(name);
    TCase *cases = tcase_create(name);

    suite_add_tcase(suite, cases);
    tcase_set_timeout(cases, 300); /* ends a hang; speed is not judged */
    for (size_t i = 0; i < n_tests; i++) {
        if (unit_wanted(tests[i]->name, argc, argv)) {
            tcase_add_test(cases, tests[i]);
        }
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int n_run = srunner_ntests_run(runner);
    const int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    printf("%d passed, %d failed\n", n_run - n_failed, n_failed);
    return n_run > 0 && n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
