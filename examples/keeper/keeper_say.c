/* SPDX-License-Identifier: ISC */
/* Text on the console, without a printf. */
#include "examples/keeper/keeper.h"

void say_bytes(const struct keeper *k, const void *p, size_t len)
{
    k->world->print(p, len);
}

void say(const struct keeper *k, const char *text)
{
    say_bytes(k, text, strlen(text));
}

size_t say_digits(uint64_t number, char *buf)
{
    char back[20];
    size_t n = 0;

    do {
        back[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t i = 0; i < n; i++) {
        buf[i] = back[n - 1 - i];
    }
    buf[n] = '\0';
    return n;
}

void say_number(const struct keeper *k, uint64_t number)
{
    char buf[21];

    say_bytes(k, buf, say_digits(number, buf));
}

void say_hex(const struct keeper *k, const struct pk_digest *hash,
             char buf[2 * PK_HASH_MAX_LEN + 1])
{
    const size_t len = pk_repo_config(k->repo)->hash_len;

    for (size_t i = 0; i < len; i++) {
        buf[2 * i] = "0123456789abcdef"[hash->b[i] >> 4];
        buf[2 * i + 1] = "0123456789abcdef"[hash->b[i] & 15];
    }
    buf[2 * len] = '\0';
}

void say_hash(const struct keeper *k, const struct pk_digest *hash)
{
    char buf[2 * PK_HASH_MAX_LEN + 1];

    say_hex(k, hash, buf);
    say(k, buf);
}

static void say_where(const struct keeper *k, const struct nf_error_info *info)
{
    if (info->file[0] != '\0') {
        say(k, ", file ");
        say(k, info->file);
    }
    if (info->page != NF_NOWHERE) {
        say(k, ", page ");
        say_number(k, info->page);
    }
    if (info->what != NULL && info->what[0] != '\0') {
        say(k, ", ");
        say(k, info->what);
    }
}

void say_error(const struct keeper *k, const char *what, int err)
{
    const struct nf_error_info *info = NULL;

    say(k, "error: ");
    say(k, what);
    say(k, ": ");
    say(k, nf_strerror(err));
    if (k->repo != NULL && pk_repo_error(k->repo)->err == err) {
        info = pk_repo_error(k->repo);
    } else if (k->disk != NULL && nf_last_error(k->disk)->err == err) {
        info = nf_last_error(k->disk);
    }
    if (info != NULL) {
        say_where(k, info);
    }
    say(k, "\n");
}
