/* SPDX-License-Identifier: ISC */
#include "tests/crash/cut.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

void cut_init(struct cut *cut, size_t n)
{
    *cut = (struct cut){
        .fates = calloc(n + 1, sizeof(*cut->fates)),
        .picks = calloc(n + 1, sizeof(*cut->picks)),
    };
    if (cut->fates == NULL || cut->picks == NULL) {
        abort();
    }
}

void cut_deinit(struct cut *cut)
{
    free(cut->fates);
    free(cut->picks);
    *cut = (struct cut){0};
}

void cut_all(struct cut *cut, bool arrived)
{
    for (size_t i = 0; i < cut->upto - cut->settled; i++) {
        cut->fates[i] = (struct fate){.arrived = arrived};
    }
}

void cut_apply(const struct cut *cut, struct bd_replay *replay)
{
    size_t n = 0;
    for (size_t i = 0; i < cut->upto - cut->settled; i++) {
        const struct fate *fate = &cut->fates[i];
        if (fate->arrived) {
            cut->picks[n++] = (struct bd_replay_pick){
                cut->settled + i, fate->torn ? fate->sectors : NULL};
        }
    }
    if (replay->pos != cut->settled) {
        bd_replay_seek(replay, cut->settled);
    }
    bd_replay_crash(replay, cut->picks, n);
}

uint64_t cut_hash(const struct cut *cut)
{
    uint64_t hash = cut->upto;
    for (size_t i = 0; i < cut->upto - cut->settled; i++) {
        const struct fate *fate = &cut->fates[i];
        const uint64_t torn = fate->torn ? fate->sectors[0] + 2 : 0;
        hash = (hash ^ torn ^ fate->arrived) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    return hash;
}

void cut_print(const struct cut *cut, FILE *out)
{
    const size_t n = cut->upto - cut->settled;
    fprintf(out, "%zu-%zu:", cut->settled, cut->upto);
    for (size_t i = 0; i < n;) {
        const struct fate *fate = &cut->fates[i];
        size_t same = 1;
        if (fate->torn) {
            fprintf(out, "t%" PRIx64 "_%" PRIx64, fate->sectors[1],
                    fate->sectors[0]);
            i++;
            continue;
        }
        while (i + same < n && !cut->fates[i + same].torn &&
               cut->fates[i + same].arrived == fate->arrived) {
            same++;
        }
        fputc(fate->arrived ? '#' : '.', out);
        if (same > 1) {
            fprintf(out, "%zu", same);
        }
        i += same;
    }
}

static bool fate_parse(struct cut *cut, size_t n, size_t *at, const char **text)
{
    const char kind = *(*text)++;
    struct fate fate = {.arrived = kind != '.', .torn = kind == 't'};
    size_t same = 1;
    char *end = NULL;
    if (kind == 't') {
        fate.sectors[1] = strtoull(*text, &end, 16);
        if (*end != '_') {
            return false;
        }
        fate.sectors[0] = strtoull(end + 1, &end, 16);
        *text = end;
    } else if (isdigit((unsigned char)**text)) {
        same = strtoul(*text, &end, 10);
        *text = end;
    }
    for (; same > 0; same--) {
        if (*at == n) {
            return false;
        }
        cut->fates[(*at)++] = fate;
    }
    return true;
}

bool cut_parse(struct cut *cut, size_t n, const char **text)
{
    char *end;
    size_t at = 0;
    cut->settled = strtoul(*text, &end, 10);
    if (*end != '-') {
        return false;
    }
    cut->upto = strtoul(end + 1, &end, 10);
    if (*end != ':' || cut->settled > cut->upto || cut->upto > n) {
        return false;
    }
    *text = end + 1;
    const size_t n_fates = cut->upto - cut->settled;
    while (**text == '#' || **text == '.' || **text == 't') {
        if (!fate_parse(cut, n_fates, &at, text)) {
            return false;
        }
    }
    return at == n_fates;
}
