/* SPDX-License-Identifier: ISC */
/* notapack check and repair: verify a store, tell what is wrong, mend it. */
#include "cli/notapack.h"

/* A finding, as a line or into a list of them. */
static int put_finding(void *arg, const struct pk_finding *finding)
{
    json_t *list = arg;

    if (list != NULL) {
        json_t *json =
            json_pack("{s:s,s:s,s:s}", "file", finding->file, "what",
                      finding->what, "error", nf_strerror(finding->err));

        if (finding->offset != NF_NOWHERE) {
            (void)json_object_set_new(
                json, "offset", json_integer((json_int_t)finding->offset));
        }
        (void)json_array_append_new(list, json);
        return 0;
    }
    printf("%s", finding->file);
    if (finding->offset != NF_NOWHERE) {
        printf(" at %llu", (unsigned long long)finding->offset);
    }
    printf(": %s (%s)\n", nf_strerror(finding->err), finding->what);
    return 0;
}

static void put_check(const struct np_options *o, json_t *findings,
                      const struct pk_check_stats *s, bool good)
{
    if (o->json) {
        np_json_put(json_pack(
            "{s:b,s:I,s:I,s:I,s:I,s:I,s:O}", "ok", good, "commits",
            (json_int_t)s->commits, "inodes", (json_int_t)s->inodes, "contents",
            (json_int_t)s->contents, "index_entries", (json_int_t)s->bindings,
            "collected", (json_int_t)s->collected, "findings", findings));
        return;
    }
    printf("%llu commits, %llu inodes, %llu contents, %llu index entries, "
           "%llu findings\n",
           (unsigned long long)s->commits, (unsigned long long)s->inodes,
           (unsigned long long)s->contents, (unsigned long long)s->bindings,
           (unsigned long long)s->findings);
    if (s->collected > 0) {
        printf("%llu references to what was collected\n",
               (unsigned long long)s->collected);
    }
    printf(good ? "CHECK OK\n" : "CHECK FAILED\n");
}

int np_check(const struct np_options *options, int n_words, char **words)
{
    json_t *findings = options->json ? json_array() : NULL;
    struct pk_check_stats stats = {0};
    struct np_store store;
    int err = np_store_open(&store, options, 0);

    (void)n_words;
    (void)words;
    if (err == 0) {
        np_progress(&store, "check", NULL, NULL);
        err = pk_check(store.repo, put_finding, findings, &stats);
        np_progress_end(&store);
        if (err != 0) {
            err = np_complain(&store, err, "check");
        }
        if (np_store_close(&store) != 0 || stats.findings > 0) {
            err = NP_FAILED;
        }
        put_check(options, findings, &stats, err == 0);
    } else if (options->json) {
        put_check(options, findings, &stats, false);
    } else {
        printf("CHECK FAILED\n");
    }
    json_decref(findings);
    return err;
}

/* ----------------------------------------------------------------- repair */

static void put_repair(const struct np_store *store, json_t *findings,
                       const struct pk_repair_stats *s)
{
    if (findings != NULL) {
        json_t *json = json_pack("{s:I,s:I,s:I,s:b,s:O}", "index_entries",
                                 (json_int_t)s->bindings, "dangling",
                                 (json_int_t)s->dangling, "parked",
                                 (json_int_t)s->parked, "control_rebuilt",
                                 s->control_rebuilt, "findings", findings);

        if (s->has_last_good) {
            (void)json_object_set_new(json, "last_good",
                                      np_json_hash(store, &s->last_good));
        }
        np_json_put(json);
        return;
    }
    printf("%llu findings, %llu index entries, %llu branches parked\n",
           (unsigned long long)s->findings, (unsigned long long)s->bindings,
           (unsigned long long)s->parked);
    if (s->has_last_good) {
        printf("last good commit ");
        np_put_hash(stdout, store, &s->last_good);
        putchar('\n');
    }
}

static void repair_show(void *arg, FILE *out)
{
    const struct pk_repair_stats *s = arg;

    if (s->total > 0) {
        fprintf(out, "%.0f%%, %llu findings",
                (double)s->done * 100 / (double)s->total,
                (unsigned long long)s->findings);
    }
}

int np_repair(const struct np_options *options, int n_words, char **words)
{
    json_t *findings = options->json ? json_array() : NULL;
    struct pk_repair_stats stats = {0};
    struct nf_error_info info = {0};
    struct np_store store;
    struct pk_open opts;
    int err = np_options_open(&store, options, PK_OPEN_WRITE, &opts);

    (void)n_words;
    (void)words;
    if (err == 0) {
        np_progress(&store, "repair", repair_show, &stats);
        err =
            pk_repair(&store.env, &opts, put_finding, findings, &info, &stats);
        np_progress_end(&store);
        if (err != 0) {
            err = np_complain_info(options->store, err, &info);
        } else {
            put_repair(&store, findings, &stats);
        }
        err = np_store_close(&store) != 0 ? NP_FAILED : err;
    }
    json_decref(findings);
    return err;
}
