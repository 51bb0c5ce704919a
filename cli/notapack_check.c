/* SPDX-License-Identifier: ISC */
/* notapack check: verify a store, tell what is wrong, end in a verdict. */
#include "cli/notapack.h"

static int check_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    printf("%s", finding->file);
    if (finding->offset != NF_NOWHERE) {
        printf(" at %llu", (unsigned long long)finding->offset);
    }
    printf(": %s (%s)\n", nf_strerror(finding->err), finding->what);
    return 0;
}

int np_check(const struct np_options *options, int n_words, char **words)
{
    struct pk_check_stats stats = {0};
    struct np_store store;
    int err = np_store_open(&store, options, 0);

    (void)n_words;
    (void)words;
    if (err != 0) {
        printf("CHECK FAILED\n");
        return err;
    }
    err = pk_check(store.repo, check_finding, NULL, &stats);
    if (err != 0) {
        err = np_complain(&store, err, "check");
    }
    printf("%llu commits, %llu inodes, %llu contents, %llu index entries, "
           "%llu findings\n",
           (unsigned long long)stats.commits, (unsigned long long)stats.inodes,
           (unsigned long long)stats.contents,
           (unsigned long long)stats.bindings,
           (unsigned long long)stats.findings);
    if (stats.collected > 0) {
        printf("%llu references to what was collected\n",
               (unsigned long long)stats.collected);
    }
    if (np_store_close(&store) != 0 || stats.findings > 0) {
        err = NP_FAILED;
    }
    printf(err == 0 ? "CHECK OK\n" : "CHECK FAILED\n");
    return err;
}
