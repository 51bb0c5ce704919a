/* SPDX-License-Identifier: ISC */
/* Text in and out: percent-encoding, paths, hashes. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/notapack.h"

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

void np_put_percent(FILE *out, struct pk_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (is_plain(s.p[i])) {
            putc(s.p[i], out);
        } else {
            fprintf(out, "%%%02x", s.p[i]);
        }
    }
}

void np_put_branch(FILE *out, struct pk_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] == '/') {
            putc('/', out);
        } else {
            np_put_percent(out, (struct pk_slice){name.p + i, 1});
        }
    }
}

size_t np_unpercent(char *text)
{
    char *to = text;

    for (const char *p = text; *p != '\0'; to++) {
        if (p[0] == '%' && isxdigit((unsigned char)p[1]) &&
            isxdigit((unsigned char)p[2])) {
            const char digits[3] = {p[1], p[2], '\0'};

            *to = (char)strtoul(digits, NULL, 16);
            p += 3;
        } else {
            *to = *p++;
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

void np_put_path(FILE *out, struct pk_path path)
{
    if (path.n == 0) {
        putc('/', out);
    }
    for (size_t i = 0; i < path.n; i++) {
        putc('/', out);
        np_put_percent(out, path.steps[i]);
    }
}

void np_put_hash(FILE *out, const struct np_store *store,
                 const struct pk_digest *hash)
{
    for (size_t i = 0; i < store->config.hash_len; i++) {
        fprintf(out, "%02x", hash->b[i]);
    }
}

bool np_path_parse(const char *text, bool percent, struct np_path *ret)
{
    size_t len = strlen(text);
    struct np_path path = {{NULL, 0}, NULL, NULL};

    path.text = malloc(len + 1);
    path.steps = calloc(len / 2 + 1, sizeof(*path.steps));
    if (path.text == NULL || path.steps == NULL) {
        np_path_free(&path);
        return false;
    }
    memcpy(path.text, text, len + 1);
    for (char *p = path.text; *p != '\0';) {
        size_t n = strcspn(p, "/");
        bool last = p[n] == '\0';

        p[n] = '\0';
        if (n > 0) {
            struct pk_slice *step = &path.steps[path.path.n++];

            step->p = (const uint8_t *)p;
            step->len = percent ? np_unpercent(p) : n;
        }
        p += n + !last;
    }
    path.path.steps = path.steps;
    *ret = path;
    return true;
}

void np_path_free(struct np_path *path)
{
    free(path->steps);
    free(path->text);
}

bool np_hash_parse(const struct np_store *store, const char *text,
                   struct pk_digest *ret)
{
    struct pk_digest hash = {{0}};

    if (strlen(text) != 2 * (size_t)store->config.hash_len) {
        return false;
    }
    for (size_t i = 0; i < store->config.hash_len; i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};

        if (!isxdigit((unsigned char)digits[0]) ||
            !isxdigit((unsigned char)digits[1])) {
            return false;
        }
        hash.b[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    *ret = hash;
    return true;
}
