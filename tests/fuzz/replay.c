/* SPDX-License-Identifier: ISC */
/*
 * Runs a fuzz target without libFuzzer: on each file of the folders named, and
 * on mutants of it that depend on its name and their number alone.
 *
 *     replay_NAME [--mutants=N] [--only=K] FILE_OR_FOLDER...
 *
 * --only=K runs mutant K of the files only (0: the file itself); what stops
 * the program prints the command that does it again.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/prng.h"

#define INPUT_MAX 8192

static const char *program;
static char running[1024]; /* how to run the current input again */

static void tell_running(int sig)
{
    const ssize_t ignored = write(STDERR_FILENO, running, strlen(running));

    (void)ignored; /* nothing can be done about it here */
    signal(sig, SIG_DFL);
    raise(sig);
}

static uint64_t seed_of(const char *path)
{
    const char *name = strrchr(path, '/');
    uint64_t seed = 0;

    for (name = name == NULL ? path : name; *name != '\0'; name++) {
        seed = seed * 31 + (uint8_t)*name;
    }
    return seed;
}

/* Change the input a little; its length then. */
static size_t mutate(struct prng *prng, uint8_t *buf, size_t len)
{
    static const uint8_t bytes[] = {0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFE, 0xFF};
    const size_t at = (size_t)prng_below(prng, len + 1);
    const size_t from = (size_t)prng_below(prng, len + 1);
    size_t n = (size_t)prng_below(prng, 3) * 4 + 1;

    switch (prng_below(prng, 6)) {
    case 0: /* one bit */
        if (at < len) {
            buf[at] ^= (uint8_t)(1u << prng_below(prng, 8));
        }
        return len;
    case 1: /* one byte */
        if (at < len) {
            buf[at] = bytes[prng_below(prng, sizeof(bytes))];
        }
        return len;
    case 2: /* some bytes */
        n = n > len - at ? len - at : n;
        prng_bytes(prng, n, buf + at);
        return len;
    case 3: /* some more bytes */
        n = n > INPUT_MAX - len ? INPUT_MAX - len : n;
        memmove(buf + at + n, buf + at, len - at);
        prng_bytes(prng, n, buf + at);
        return len + n;
    case 4: /* some bytes less */
        n = n > len - at ? len - at : n;
        memmove(buf + at, buf + at + n, len - at - n);
        return len - n;
    default: /* some bytes again */
        n = n > len - at ? len - at : n;
        n = n > len - from ? len - from : n;
        memmove(buf + at, buf + from, n);
        return len;
    }
}

static void run_file(const char *path, long mutants, long only)
{
    static uint8_t file[INPUT_MAX];
    static uint8_t input[INPUT_MAX];
    FILE *f = fopen(path, "rb");

    if (f == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    const size_t file_len = fread(file, 1, sizeof(file), f);
    fclose(f);
    for (long k = 0; k <= mutants; k++) {
        struct prng prng = prng_seed(seed_of(path) + (uint64_t)k);
        size_t len = file_len;

        memcpy(input, file, len);
        for (uint64_t n = k == 0 ? 0 : 1 + prng_below(&prng, 4); n > 0; n--) {
            len = mutate(&prng, input, len);
        }
        if (only < 0 || only == k) {
            snprintf(running, sizeof(running), "again: %s --only=%ld %s\n",
                     program, k, path);
            LLVMFuzzerTestOneInput(input, len);
        }
    }
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The number of files run. */
static unsigned run_path(const char *path, long mutants, long only)
{
    struct dirent **entries;
    const int n = scandir(path, &entries, not_hidden, alphasort);

    if (n < 0) {
        run_file(path, mutants, only);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        char name[768];

        snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        run_file(name, mutants, only);
        free(entries[i]);
    }
    free(entries);
    return (unsigned)n;
}

int main(int argc, char **argv)
{
    static const int signals[] = {SIGABRT, SIGALRM, SIGBUS, SIGFPE,
                                  SIGILL,  SIGSEGV, SIGTERM};
    unsigned n = 0;
    long mutants = 0;
    long only = -1;

    program = argv[0];
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        signal(signals[i], tell_running);
    }
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--mutants=", 10) == 0) {
            mutants = strtol(argv[i] + 10, NULL, 10);
        } else if (strncmp(argv[i], "--only=", 7) == 0) {
            only = strtol(argv[i] + 7, NULL, 10);
            mutants = only;
        } else {
            n += run_path(argv[i], mutants, only);
        }
    }
    printf("%u passed, 0 failed\n", n);
    return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
