/* SPDX-License-Identifier: ISC */
/* Power cuts under stores: all scripts on the storage of a config, and what
 * cuts could leave is judged. */
#include "tests/crash/command.h"
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

static void run(struct survey *s, const struct command *c,
                const struct script *script)
{
    struct play play;
    play_open(&play, c->config, script, c->seed);
    const uint64_t before = s->n_states;
    const uint64_t nested = s->n_nested;
    const uint64_t damaged = s->n_damaged;
    if (c->state == NULL) {
        survey(s, &play);
    } else if (!survey_one(s, &play, c->state)) {
        fprintf(stderr, "no such state\n");
        s->n_failed++;
    }
    printf("%-16s %-12s %3zu moments %5zu entries %7llu states, %llu nested, "
           "%llu damaged\n",
           c->config->name, script->name, play.n_moments,
           stage_n_entries(play.stage),
           (unsigned long long)(s->n_states - before),
           (unsigned long long)(s->n_nested - nested),
           (unsigned long long)(s->n_damaged - damaged));
    fflush(stdout);
    play_close(&play);
}

int main(int argc, char **argv)
{
    struct command c;
    if (!command_begin(&c, argc, argv, configs,
                       sizeof(configs) / sizeof(configs[0]))) {
        return 2;
    }
    struct survey s = {
        .repeat = c.repeat,
        .prng = prng_seed(c.seed),
        .effort = c.effort,
    };
    for (size_t i = 0; i < n_scripts; i++) {
        if (command_wants(&c, scripts[i].name)) {
            run(&s, &c, &scripts[i]);
            c.passed += s.n_failed == 0;
            c.failed += s.n_failed > 0;
        }
    }
    return command_end(&c, s.n_states);
}
