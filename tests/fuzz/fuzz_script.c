/* SPDX-License-Identifier: ISC */
/*
 * A script of notapack from anywhere, on an empty store in memory that it may
 * open again. The first byte chooses between answers as text and as JSON, and
 * the configuration. Each line of JSON is an object that says whether the line
 * went well.
 */
#include <stdlib.h>
#include <string.h>

#include <notafs/hash_gcrypt.h>

#include "cli/notapack_script.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/mem_fault.h"

static const char *const configs[] = {"kv64", "smallseeded", "small", "tezos"};

/* The store of a script: all that it needs of struct np_store, which comes
 * first. */
struct scripted {
    struct np_store store;
    struct np_options options;
    struct mem_fault mem;
    struct pk_vfs_mem *files;
};

static int reopen(struct np_store *store)
{
    struct pk_open open = {.vfs = &store->vfs,
                           .config = store->config,
                           .flags = PK_OPEN_WRITE | PK_OPEN_CREATE,
                           .hashes = pk_hash_gcrypt(),
                           .cache_len = 1 << 16};
    int err = pk_repo_close(store->repo);

    store->repo = NULL;
    return err == 0 ? pk_repo_open(&store->env, &open, NULL, &store->repo)
                    : err;
}

static void look_at_answers(char *text)
{
    char *rest = text;

    for (char *line = strsep(&rest, "\n"); rest != NULL;
         line = strsep(&rest, "\n")) {
        json_t *json = json_loads(line, 0, NULL);

        fuzz_check(json != NULL);
        fuzz_check(json_is_integer(json_object_get(json, "line")));
        fuzz_check(json_is_boolean(json_object_get(json, "ok")));
        fuzz_check(json_is_true(json_object_get(json, "ok")) ==
                   (json_object_get(json, "error") == NULL));
        json_decref(json);
    }
}

static void run(struct scripted *s, const uint8_t *data, size_t size)
{
    const struct np_script_how how = {reopen, 4096};
    char *answers = NULL;
    size_t len = 0;
    FILE *in = fmemopen((void *)(uintptr_t)data, size, "r");
    FILE *out = open_memstream(&answers, &len);

    fuzz_check(in != NULL && out != NULL);
    fuzz_check(reopen(&s->store) == 0);
    fuzz_check(np_script_lines(&s->store, &how, in, out) == 0);
    fuzz_check(pk_repo_close(s->store.repo) == 0);
    fuzz_check(fclose(in) == 0 && fclose(out) == 0);
    if (s->options.json) {
        look_at_answers(answers);
    }
    free(answers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scripted s;

    if (size < 2 || size > 4096) {
        return 0;
    }
    memset(&s, 0, sizeof(s));
    mem_fault_init(&s.mem);
    s.options.json = (data[0] & 1) != 0;
    s.store.options = &s.options;
    s.store.env = s.mem.env;
    fuzz_check(pk_config_parse(configs[data[0] >> 1 & 3], &s.store.config) ==
               0);
    fuzz_check(pk_vfs_mem_open(&s.mem.env, &s.files, &s.store.vfs) == 0);
    run(&s, data + 1, size - 1);
    pk_vfs_mem_close(s.files);
    fuzz_check(s.mem.live_bytes == 0);
    return 0;
}
