/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <notafs/host.h>

#include "notafs/platform/trace.h"
#include "tests/support/unit.h"

/* What an event looks like. */
static void assert_traced(struct nf_event event, const char *expected)
{
    char found[200] = "";
    FILE *file = tmpfile();
    const int saved = dup(STDERR_FILENO);

    ck_assert_int_ge(dup2(fileno(file), STDERR_FILENO), 0);
    nf_trace_stderr(NULL, &event);
    ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
    close(saved);
    rewind(file);
    ck_assert_ptr_nonnull(fgets(found, sizeof(found), file));
    ck_assert_str_eq(found, expected);
    fclose(file);
}

START_TEST(lines)
{
    assert_traced((struct nf_event){NF_EV_DISCARDED, 12, UINT64_MAX, 0},
                  "notafs: DISCARDED: discarded 12 pages in "
                  "18446744073709551615 ranges\n");
    assert_traced((struct nf_event){NF_EV_ABORTED, 5, 0, 0},
                  "notafs: ABORTED: aborted, back at generation 5\n");
}
END_TEST

START_TEST(unknown_event)
{
    assert_traced((struct nf_event){9999, 1, 2, 3}, "notafs: event 9999\n");
}
END_TEST

UNIT_MAIN("host/trace_stderr", lines, unknown_event)
