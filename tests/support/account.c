/* SPDX-License-Identifier: ISC */
#include "tests/support/account.h"

static void note(void *ctx, const struct nf_finding *finding)
{
    struct account *account = ctx;

    if (finding->err == 0) {
        account->pages[finding->kind] += finding->count;
        return;
    }
    if (account->errors == 0 && account->why != NULL) {
        fprintf(account->why, "page %llu, '%.*s' at %llu: %s (%s)\n",
                (unsigned long long)finding->page, (int)finding->file_len,
                finding->file, (unsigned long long)finding->offset,
                finding->what, nf_errname(finding->err));
    }
    account->errors++;
}

int account_take(struct nf *nf, struct account *ret)
{
    FILE *const why = ret->why;
    struct nf_scrub *scrub;
    int err;

    *ret = (struct account){.why = why};
    err = nf_scrub_open(nf, NF_SCRUB_ACCOUNT, note, ret, &scrub);
    if (err != 0) {
        return err;
    }
    do {
        err = nf_scrub_step(scrub, 100);
    } while (err == 1);
    nf_scrub_close(scrub);
    return err;
}

bool account_exact(struct nf *nf, FILE *why)
{
    struct account account = {.why = why};
    struct nf_stats stats;
    uint64_t sum = 0;

    const int err = account_take(nf, &account);
    nf_stats(nf, &stats);
    for (int kind = 0; kind <= NF_PAGE_UNUSED; kind++) {
        sum += account.pages[kind];
    }
    const uint64_t free_pages =
        account.pages[NF_PAGE_FREE] + account.pages[NF_PAGE_UNUSED];
    if (err == 0 && account.errors == 0 && sum == stats.page_count &&
        (nf_is_dirty(nf) || free_pages == stats.free_pages)) {
        return true;
    }
    if (why != NULL) {
        fprintf(why,
                "scrub: %s, %llu errors, %llu of %llu pages, %llu free, "
                "counted %llu\n",
                nf_errname(err), (unsigned long long)account.errors,
                (unsigned long long)sum, (unsigned long long)stats.page_count,
                (unsigned long long)free_pages,
                (unsigned long long)stats.free_pages);
    }
    return false;
}
