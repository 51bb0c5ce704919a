/* SPDX-License-Identifier: ISC */
/* JSON out. Bytes that are not UTF-8 are percent-encoded, with the key's value
 * an object {"percent": ...} so that nobody takes them for text. */
#include "cli/notapack.h"

#include <stdlib.h>
#include <string.h>

void np_json_put(json_t *json)
{
    (void)json_dumpf(json, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(json);
}

void np_json_line(json_t *json)
{
    (void)json_dumpf(json, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(json);
}

json_t *np_json_bytes(struct pk_slice s)
{
    json_t *json = json_stringn((const char *)s.p, s.len);
    char *text = NULL;
    size_t len = 0;
    FILE *out;

    if (json != NULL) {
        return json;
    }
    out = open_memstream(&text, &len);
    if (out != NULL) {
        np_put_percent(out, s);
        (void)fclose(out); /* a failure leaves text NULL */
    }
    json = json_pack("{s:s}", "percent", text == NULL ? "" : text);
    free(text);
    return json;
}

json_t *np_json_hash(const struct np_store *store, const struct pk_digest *hash)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * PK_HASH_MAX_LEN];

    for (size_t i = 0; i < store->config.hash_len; i++) {
        text[2 * i] = digits[hash->b[i] >> 4];
        text[2 * i + 1] = digits[hash->b[i] & 15];
    }
    return json_stringn(text, 2 * (size_t)store->config.hash_len);
}

json_t *np_json_path(struct pk_path path)
{
    json_t *steps = json_array();

    for (size_t i = 0; i < path.n; i++) {
        (void)json_array_append_new(steps, np_json_bytes(path.steps[i]));
    }
    return steps;
}

json_t *np_json_commit(const struct np_store *store,
                       const struct pk_commit *commit)
{
    json_t *parents = json_array();

    for (size_t i = 0; i < commit->n_parents; i++) {
        (void)json_array_append_new(parents,
                                    np_json_hash(store, &commit->parents[i]));
    }
    return json_pack("{s:o,s:o,s:o,s:I,s:o,s:o}", "hash",
                     np_json_hash(store, &commit->hash), "root",
                     np_json_hash(store, &commit->root), "parents", parents,
                     "date", (json_int_t)commit->info.date, "author",
                     np_json_bytes(commit->info.author), "message",
                     np_json_bytes(commit->info.message));
}
