/* SPDX-License-Identifier: ISC */
/*
 *     test_crash_pack CONFIG [--script NAME] [--seed N] [--effort N]
 *                            [--at-least N]
 *     test_crash_pack CONFIG --script NAME [--seed N] --repeat STATE
 *
 * Power cuts under stores: plays all scripts on the storage of a config, and
 * judges what cuts could leave; or repeats the one state that a failure named.
 * The seed decides contents and samples.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/pack/survey.h"

#define FLUSH BD_CAP_FLUSH
#define TRIM  (BD_CAP_FLUSH | BD_CAP_DISCARD)

static const struct config configs[] = {
    {"posix", 0, 0, 0, 0, 0},
    {"native-512", NF_PROFILE_NATIVE, NF_CHECKSUM_XXH3, 512, TRIM, 0},
    {"native-4096", NF_PROFILE_NATIVE, NF_CHECKSUM_XXH3, 4096, FLUSH, 0},
    {"mirage-512", NF_PROFILE_MIRAGE, NF_CHECKSUM_ADLER32, 512, TRIM, 0},
    {"mirage-1024", NF_PROFILE_MIRAGE, NF_CHECKSUM_ADLER32, 1024, FLUSH, 0},
    {"native-unflushed", NF_PROFILE_NATIVE, NF_CHECKSUM_XXH3, 512, 0, 0},
    {"mirage-unflushed", NF_PROFILE_MIRAGE, NF_CHECKSUM_ADLER32, 512, 0, 0},
    {"native-liar", NF_PROFILE_NATIVE, NF_CHECKSUM_XXH3, 512, TRIM, 4},
    {"mirage-liar", NF_PROFILE_MIRAGE, NF_CHECKSUM_ADLER32, 512, TRIM, 4},
};

struct args {
    const struct config *config;
    const char *script;
    const char *state;
    uint64_t seed;
    uint64_t effort;
    uint64_t at_least;
};

static char repeat[300]; /* for the signal handler too */

static void on_signal(int sig)
{
    (void)!write(STDERR_FILENO, repeat, strlen(repeat));
    (void)!write(STDERR_FILENO, "\n", 1);
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

static bool args_read(int argc, char **argv, struct args *ret)
{
    const char *effort = getenv("CRASH_EFFORT");
    *ret = (struct args){
        .seed = 1,
        .effort = effort == NULL ? 1 : strtoull(effort, NULL, 0),
    };
    for (size_t i = 0; argc > 1 && i < sizeof(configs) / sizeof(configs[0]);
         i++) {
        if (strcmp(configs[i].name, argv[1]) == 0) {
            ret->config = &configs[i];
        }
    }
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--script") == 0) {
            ret->script = value;
        } else if (strcmp(argv[i], "--repeat") == 0) {
            ret->state = value;
        } else if (strcmp(argv[i], "--seed") == 0) {
            ret->seed = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--effort") == 0) {
            ret->effort = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--at-least") == 0) {
            ret->at_least = strtoull(value, NULL, 0);
        } else {
            return false;
        }
    }
    return ret->config != NULL && argc % 2 == 0;
}

static void run(struct survey *s, const struct args *args,
                const struct script *script)
{
    struct play play;
    play_open(&play, args->config, script, args->seed);
    const uint64_t before = s->n_states;
    const uint64_t nested = s->n_nested;
    const uint64_t damaged = s->n_damaged;
    if (args->state == NULL) {
        survey(s, &play);
    } else if (!survey_one(s, &play, args->state)) {
        fprintf(stderr, "no such state\n");
        s->n_failed++;
    }
    printf("%-16s %-12s %3zu moments %5zu entries %7llu states, %llu nested, "
           "%llu damaged\n",
           args->config->name, script->name, play.n_moments,
           stage_n_entries(play.stage),
           (unsigned long long)(s->n_states - before),
           (unsigned long long)(s->n_nested - nested),
           (unsigned long long)(s->n_damaged - damaged));
    fflush(stdout);
    play_close(&play);
}

int main(int argc, char **argv)
{
    struct args args;
    uint64_t passed = 0;
    uint64_t failed = 0;
    if (!args_read(argc, argv, &args)) {
        fprintf(stderr, "usage: see the head of pack_crash_main.c\n");
        return 2;
    }
    struct survey s = {
        .repeat = repeat,
        .prng = prng_seed(args.seed),
        .effort = args.effort,
    };
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGILL, on_signal); /* nf_assert */
    (void)signal(SIGSEGV, on_signal);
    printf("seed %llu, effort %llu\n", (unsigned long long)args.seed,
           (unsigned long long)args.effort);
    for (size_t i = 0; i < n_scripts; i++) {
        if (args.script != NULL && strcmp(args.script, scripts[i].name) != 0) {
            continue;
        }
        (void)snprintf(repeat, sizeof(repeat),
                       "%s %s --script %s --seed %llu --repeat ", argv[0],
                       args.config->name, scripts[i].name,
                       (unsigned long long)args.seed);
        run(&s, &args, &scripts[i]);
        passed += s.n_failed == 0;
        failed += s.n_failed > 0;
    }
    if (s.n_states < args.at_least) {
        fprintf(stderr, "fewer states than %llu\n",
                (unsigned long long)args.at_least);
        failed++;
    }
    printf("%llu states\n%llu passed, %llu failed\n",
           (unsigned long long)s.n_states, (unsigned long long)passed,
           (unsigned long long)failed);
    return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
