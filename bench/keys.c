/* SPDX-License-Identifier: ISC */
#include "bench/keys.h"

#include <string.h>

#include "bench/harness.h"

/* letter and x with at least so many digits, as printf's %0*d has them, but
 * without its cost: this is no benchmark of printf. */
static struct pk_slice step_of(char *text, char letter, uint64_t x,
                               size_t n_digits)
{
    char *p = text + KEY_STEP_CAP;
    const char *end = p;

    do {
        *--p = (char)('0' + x % 10);
        x /= 10;
    } while (x > 0 || (size_t)(end - p) < n_digits);
    *--p = letter;
    return (struct pk_slice){(const uint8_t *)p, (size_t)(end - p)};
}

struct pk_path key_path(const struct keys *keys, uint64_t i, struct key *key)
{
    size_t n = (size_t)keys->depth;
    uint64_t x = i;

    for (size_t k = 0; k + 1 < n; k++, x /= keys->width) {
        key->steps[k] = step_of(key->text[k], 'd', x % keys->width, 3);
    }
    key->steps[n - 1] = step_of(key->text[n - 1], 'k', i, 8);
    return (struct pk_path){key->steps, n};
}

size_t key_text(const struct keys *keys, uint64_t i, char text[KEY_TEXT_CAP])
{
    struct key key;
    struct pk_path path = key_path(keys, i, &key);
    size_t len = 0;

    for (size_t k = 0; k < path.n; k++) {
        if (k > 0) {
            text[len++] = '/';
        }
        memcpy(text + len, path.steps[k].p, path.steps[k].len);
        len += path.steps[k].len;
    }
    text[len] = '\0';
    return len;
}

void keys_check(const struct keys *keys, uint64_t entries)
{
    if (keys->depth < 1 || keys->depth > KEY_MAX_DEPTH || keys->width < 1 ||
        entries < 1) {
        bench_fail("depth is 1 to %d, width and entries are 1 or more",
                   KEY_MAX_DEPTH);
    }
}
