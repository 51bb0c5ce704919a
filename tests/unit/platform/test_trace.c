/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "notafs/platform/trace.h"
#include "tests/support/unit.h"

static void keep(void *ctx, const struct nf_event *event)
{
    *(struct nf_event *)ctx = *event;
}

START_TEST(reaches_the_hook)
{
    struct nf_event seen = {0};
    const struct nf_env env = {.ctx = &seen, .trace = keep};

    nf_trace(&env, NF_EV_COMMITTED, 1, 2, UINT64_MAX);
    ck_assert_uint_eq(seen.id, NF_EV_COMMITTED);
    ck_assert_uint_eq(seen.a, 1);
    ck_assert_uint_eq(seen.b, 2);
    ck_assert_uint_eq(seen.c, UINT64_MAX);
}
END_TEST

START_TEST(no_hook)
{
    const struct nf_env env = {0};

    nf_trace(&env, NF_EV_MOUNTED, 1, 2, 3);
}
END_TEST

/* Hosts hand a, b and c to printf whatever the event is. */
START_TEST(formats_take_at_most_three_numbers)
{
    static const char *const formats[] = {
#define NF_EVENT(id, format, level) [NF_EV_##id] = format,
#include "notafs/platform/trace.def"
#undef NF_EVENT
    };

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        int n = 0;
        for (const char *p = strchr(formats[i], '%'); p != NULL;
             p = strchr(p + 1, '%')) {
            ck_assert_msg(strncmp(p, "%llu", 4) == 0, "%s", formats[i]);
            n++;
        }
        ck_assert_int_le(n, 3);
    }
}
END_TEST

UNIT_MAIN("platform/trace", reaches_the_hook, no_hook,
          formats_take_at_most_three_numbers)
