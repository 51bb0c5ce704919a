/* SPDX-License-Identifier: ISC */
/* Power cuts under Notafs: all scenarios on the disks of a config. */
#include "tests/crash/command.h"
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

/* false: it does not go with the config. */
static bool run(struct explorer *x, const struct command *c,
                const struct scenario *scenario)
{
    struct scene scene;
    if (!scene_open(&scene, c->config, scenario, c->seed)) {
        return false;
    }
    const uint64_t before = x->judge.n_judged;
    const uint64_t nested = x->n_nested;
    if (c->state == NULL) {
        explore(x, &scene);
    } else if (!explore_one(x, &scene, c->state)) {
        fprintf(stderr, "no such state\n");
        x->n_failed++;
    }
    printf("%-16s %-12s %4zu commits %5zu writes %8llu states, %llu nested\n",
           c->config->name, scenario->name, scene.n_commits - 1, scene.log.n,
           (unsigned long long)(x->judge.n_judged - before),
           (unsigned long long)(x->n_nested - nested));
    fflush(stdout);
    scene_close(&scene);
    return true;
}

int main(int argc, char **argv)
{
    struct command c;
    if (!command_begin(&c, argc, argv, configs,
                       sizeof(configs) / sizeof(configs[0]))) {
        return 2;
    }
    struct explorer x = {
        .repeat = c.repeat,
        .prng = prng_seed(c.seed),
        .effort = c.effort,
    };
    for (size_t i = 0; i < n_scenarios; i++) {
        if (command_wants(&c, scenarios[i].name) &&
            run(&x, &c, &scenarios[i])) {
            c.passed += x.n_failed == 0;
            c.failed += x.n_failed > 0;
        }
    }
    tree_deinit(&x.judge.tree);
    return command_end(&c, x.judge.n_judged);
}
