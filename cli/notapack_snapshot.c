/* SPDX-License-Identifier: ISC */
/* snapshot: one commit with its tree, as a stream or as a store of its own. */
#include "cli/notapack_stream.h"

/* One commit into a store of its own, as irmin-pack makes it. */
static int snapshot_store(const struct np_options *options, int n_words,
                          char **words)
{
    struct np_options into = *options;
    struct pk_gc_options gc = {.n_keep = 1};
    struct np_eta progress;
    struct pk_gc_stats stats;
    struct np_store store;
    struct np_store there;
    struct pk_digest hash;
    struct pk_open opts;
    int err = np_store_open(&store, options, 0);

    if (err != 0) {
        return err;
    }
    err = n_words > 2 ? np_resolve(&store, words[2], &hash)
                      : np_head(&store, &hash);
    into.store = words[1];
    into.lower = NULL;
    into.config = "irmin";
    if (err == 0) {
        err = np_options_open(&there, &into, PK_OPEN_WRITE | PK_OPEN_CREATE,
                              &opts);
    }
    if (err != 0) {
        (void)np_store_close(&store); /* told already */
        return err;
    }
    gc.keep = &hash;
    gc.into = opts.vfs;
    np_signals_catch();
    np_eta_begin(&progress, options);
    err = pk_gc_start(store.repo, &gc);
    while (err == 0 && np_signals_caught() == 0 &&
           (err = pk_gc_step(store.repo, 1 << 22)) > 0) {
        pk_gc_progress(store.repo, &stats);
        np_eta_show(&progress,
                    stats.phase == PK_GC_MARK ? "finding objects" : "copying",
                    stats.done, stats.total);
        err = 0;
    }
    np_eta_end(&progress);
    if (err == 0 && np_signals_caught() != 0) {
        err = pk_gc_cancel(store.repo);
        fprintf(stderr, "notapack: interrupted; no store was made\n");
        err = err == 0 ? 128 + np_signals_caught() : err;
    } else if (err == 0) {
        err = pk_gc_finish(store.repo, &stats);
        if (err == 0 && options->json) {
            np_json_put(json_pack("{s:o,s:I,s:I}", "commit",
                                  np_json_hash(&store, &hash), "objects",
                                  (json_int_t)stats.objects, "bytes",
                                  (json_int_t)stats.prefix_len));
        } else if (err == 0 && !options->quiet) {
            printf("%s has commit ", words[1]);
            np_put_hash(stdout, &store, &hash);
            printf(": %llu objects, %llu bytes\n",
                   (unsigned long long)stats.objects,
                   (unsigned long long)stats.prefix_len);
        }
    }
    if (err < 0) {
        err = np_complain(&store, err, words[0]);
    }
    if (np_store_close(&there) != 0 || np_store_close(&store) != 0) {
        err = NP_FAILED;
    }
    return err;
}

int np_snapshot(const struct np_options *options, int n_words, char **words)
{
    char branch[] = "main";
    char *head = branch;

    if (options->as_store) {
        return snapshot_store(options, n_words, words);
    }
    if (options->commit != NULL || options->branch != NULL) {
        head = (char *)(uintptr_t)(options->commit != NULL ? options->commit
                                                           : options->branch);
    }
    return np_send_words(options, true, words[1], 1,
                         n_words > 2 ? words + 2 : &head);
}
