/* SPDX-License-Identifier: ISC */
/*
 *     test_crash CONFIG [--scenario NAME] [--seed N] [--effort N]
 *                       [--at-least N]
 *     test_crash CONFIG --scenario NAME [--seed N] --repeat STATE
 *
 * Explores all scenarios on the disks of a config, or repeats the one state
 * that a failure named (explore.h). The seed decides contents and samples.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/explore.h"

#define FLUSH BD_CAP_FLUSH
#define TRIM  (BD_CAP_FLUSH | BD_CAP_DISCARD)

static const struct config configs[] = {
    {"native-512", NF_PROFILE_NATIVE, NF_CHECKSUM_XXH3, 512, TRIM, 0},
    {"native-4096", NF_PROFILE_NATIVE, NF_CHECKSUM_XXH3, 4096, FLUSH, 0},
    {"native-65536", NF_PROFILE_NATIVE, NF_CHECKSUM_XXH3, 65536, TRIM, 0},
    {"mirage-512", NF_PROFILE_MIRAGE, NF_CHECKSUM_ADLER32, 512, TRIM, 0},
    {"mirage-1024", NF_PROFILE_MIRAGE, NF_CHECKSUM_ADLER32, 1024, FLUSH, 0},
    {"mirage-none", NF_PROFILE_MIRAGE, NF_CHECKSUM_NONE, 512, FLUSH, 0},
    {"native-unflushed", NF_PROFILE_NATIVE, NF_CHECKSUM_XXH3, 512, 0, 0},
    {"mirage-unflushed", NF_PROFILE_MIRAGE, NF_CHECKSUM_ADLER32, 512, 0, 0},
    {"native-liar", NF_PROFILE_NATIVE, NF_CHECKSUM_XXH3, 512, TRIM, 4},
    {"mirage-liar", NF_PROFILE_MIRAGE, NF_CHECKSUM_ADLER32, 512, TRIM, 4},
};

struct args {
    const struct config *config;
    const char *scenario;
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
        if (strcmp(argv[i], "--scenario") == 0) {
            ret->scenario = value;
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

/* false: it does not go with the config. */
static bool run(struct explorer *x, const struct args *args,
                const struct scenario *scenario)
{
    struct scene scene;
    if (!scene_open(&scene, args->config, scenario, args->seed)) {
        return false;
    }
    const uint64_t before = x->judge.n_judged;
    const uint64_t nested = x->n_nested;
    if (args->state == NULL) {
        explore(x, &scene);
    } else if (!explore_one(x, &scene, args->state)) {
        fprintf(stderr, "no such state\n");
        x->n_failed++;
    }
    printf("%-16s %-12s %4zu commits %5zu writes %8llu states, %llu nested\n",
           args->config->name, scenario->name, scene.n_commits - 1, scene.log.n,
           (unsigned long long)(x->judge.n_judged - before),
           (unsigned long long)(x->n_nested - nested));
    fflush(stdout);
    scene_close(&scene);
    return true;
}

int main(int argc, char **argv)
{
    struct args args;
    uint64_t passed = 0;
    uint64_t failed = 0;
    if (!args_read(argc, argv, &args)) {
        fprintf(stderr, "usage: see the head of crash_main.c\n");
        return 2;
    }
    struct explorer x = {
        .repeat = repeat,
        .prng = prng_seed(args.seed),
        .effort = args.effort,
    };
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGILL, on_signal); /* nf_assert */
    (void)signal(SIGSEGV, on_signal);
    printf("seed %llu, effort %llu\n", (unsigned long long)args.seed,
           (unsigned long long)args.effort);
    for (size_t i = 0; i < n_scenarios; i++) {
        if (args.scenario != NULL &&
            strcmp(args.scenario, scenarios[i].name) != 0) {
            continue;
        }
        (void)snprintf(repeat, sizeof(repeat),
                       "%s %s --scenario %s --seed %llu --repeat ", argv[0],
                       args.config->name, scenarios[i].name,
                       (unsigned long long)args.seed);
        if (run(&x, &args, &scenarios[i])) {
            passed += x.n_failed == 0;
            failed += x.n_failed > 0;
        }
    }
    if (x.judge.n_judged < args.at_least) {
        fprintf(stderr, "fewer states than %llu\n",
                (unsigned long long)args.at_least);
        failed++;
    }
    printf("%llu states\n%llu passed, %llu failed\n",
           (unsigned long long)x.judge.n_judged, (unsigned long long)passed,
           (unsigned long long)failed);
    tree_deinit(&x.judge.tree);
    return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
