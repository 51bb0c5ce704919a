/* SPDX-License-Identifier: ISC */
/* What is done to a disk while its power is at risk. */
#include "tests/crash/scene.h"

#include <stdio.h>

#define PAGE(s) ((size_t)(s)->config->page_size)

/* The nth name of a series. Valid until the next call. */
static const char *numbered(const char *format, unsigned n)
{
    static char name[32];
    (void)snprintf(name, sizeof(name), "%s%03u", format, n);
    return name;
}

static size_t below(struct scene *s, size_t n)
{
    return (size_t)prng_below(&s->prng, n);
}

/* ---- Contents --------------------------------------------------------- */

static void append(struct scene *s)
{
    scene_append(s, "log", 20); /* inline on native */
    scene_sync(s);
    for (int i = 0; i < 12; i++) {
        scene_append(s, "log", PAGE(s) / 3 + below(s, PAGE(s)));
        scene_sync(s);
    }
    scene_append(s, "log", 40 * PAGE(s)); /* a level more */
    scene_sync(s);
    for (int i = 0; i < 4; i++) {
        scene_append(s, "log", 100);
        scene_append(s, "other", 10);
        scene_sync(s);
    }
}

static void before_overwrite(struct scene *s)
{
    scene_write(s, "data", 0, 70 * PAGE(s));
    scene_sync(s);
}

static void overwrite(struct scene *s)
{
    for (int i = 0; i < 14; i++) {
        const size_t len = i % 3 == 0 ? 3 * PAGE(s) : 1 + below(s, PAGE(s));
        scene_write(s, "data", below(s, 66 * PAGE(s)), len);
        scene_sync(s);
    }
    scene_write(s, "data", 5, 30 * PAGE(s));
    scene_sync(s);
}

static void truncate(struct scene *s)
{
    const bool holes = s->config->profile == NF_PROFILE_NATIVE;
    static const size_t pages[] = {50, 20, 60, 1, 0, 3, 40};
    for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        scene_truncate(s, "data", pages[i] * PAGE(s) + below(s, 100));
        scene_sync(s);
        if (holes && i % 2 == 0) {
            scene_punch(s, "data", below(s, 20 * PAGE(s)), 9 * PAGE(s));
            scene_sync(s);
        }
    }
    scene_truncate(s, "data", 0);
    scene_sync(s);
}

/* ---- Names ------------------------------------------------------------ */

static void rename_them(struct scene *s)
{
    scene_write(s, "a", 0, 30);
    scene_write(s, "b", 0, 3 * PAGE(s));
    scene_write(s, "dir/c", 0, 2 * PAGE(s));
    scene_sync(s);
    scene_rename(s, "a", "aa");
    scene_sync(s);
    scene_rename(s, "b", "aa"); /* replaces */
    scene_sync(s);
    scene_rename(s, "dir", "elsewhere/deep/dir");
    scene_sync(s);
    scene_rename(s, "elsewhere/deep/dir/c", "aa");
    scene_sync(s);
    scene_write(s, "new", 0, PAGE(s)); /* the way safe files are written */
    scene_rename(s, "new", "aa");
    scene_sync(s);
    scene_rename(s, "aa", "x/y/z");
    scene_write(s, "aa", 0, 10);
    scene_sync(s);
}

static void before_remove(struct scene *s)
{
    for (unsigned i = 0; i < 12; i++) {
        scene_write(s, numbered("dir/sub/f", i), 0, 20 + i * PAGE(s) / 2);
        scene_write(s, numbered("f", i), 0, (20 - i) * PAGE(s) / 4);
    }
    scene_sync(s);
}

static void remove_them(struct scene *s)
{
    for (unsigned i = 0; i < 6; i++) {
        scene_remove(s, numbered("f", i));
        scene_sync(s);
    }
    scene_remove(s, "dir/sub/f011");
    scene_write(s, "dir/sub/f011", 0, 30); /* another one of that name */
    scene_sync(s);
    scene_remove(s, "dir");
    scene_sync(s);
    for (unsigned i = 6; i < 12; i++) {
        scene_remove(s, numbered("f", i));
    }
    scene_sync(s);
}

static void many_files(struct scene *s)
{
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 25; i++) {
            scene_write(s, numbered("many/file", i * 4 + round), 0,
                        below(s, 60));
        }
        scene_sync(s);
    }
    for (unsigned i = 0; i < 5; i++) {
        scene_write(s, numbered("many/file", i * 17), 3, 50 + i * PAGE(s) / 2);
        scene_sync(s);
    }
    for (unsigned i = 0; i < 100; i += 2) {
        scene_remove(s, numbered("many/file", i));
    }
    scene_sync(s);
    scene_remove(s, "many");
    scene_sync(s);
}

/* ---- Space ------------------------------------------------------------ */

static void fill(struct scene *s)
{
    for (unsigned i = 0; i < 100; i++) {
        if (!scene_write(s, numbered("fill", i), 0, 4 * PAGE(s) - 9)) {
            return;
        }
    }
}

static void before_full(struct scene *s)
{
    fill(s);
    scene_sync(s);
}

static void disk_full(struct scene *s)
{
    for (unsigned i = 0; i < 5; i++) {
        scene_remove(s, numbered("fill", i));
        scene_sync(s);
        fill(s); /* what was freed is not there yet, or a part of it */
        scene_sync(s);
    }
    scene_truncate(s, "fill003", PAGE(s));
    scene_sync(s);
    for (unsigned i = 0; i < 5; i++) {
        scene_write(s, "fill005", below(s, 3 * PAGE(s)), PAGE(s) / 2);
        scene_sync(s);
    }
    for (unsigned i = 0; i < 100; i++) {
        struct model_node *node;
        const char *name = numbered("fill", i);
        if (model_find(&s->model, nf_path(name), &node) == 0) {
            scene_remove(s, name);
        }
    }
    scene_sync(s);
    fill(s);
    scene_sync(s);
}

/* Every other page of a large file is freed: as many ranges as pages. */
static void before_queue(struct scene *s)
{
    for (unsigned i = 0; i < 250; i++) {
        scene_append(s, "even", PAGE(s));
        scene_append(s, "odd", PAGE(s));
    }
    scene_sync(s);
    scene_remove(s, "even");
    scene_sync(s);
    scene_append(s, "odd", 1);
    scene_sync(s);
}

static void deep_queue(struct scene *s)
{
    for (unsigned i = 0; i < 4; i++) { /* from its front, and to its end */
        scene_write(s, "odd", below(s, 200 * PAGE(s)), 2 * PAGE(s));
        scene_sync(s);
    }
    scene_write(s, "more", 0, 60 * PAGE(s));
    scene_sync(s);
    scene_truncate(s, "odd", 30 * PAGE(s)); /* ranges to its end */
    scene_sync(s);
    scene_write(s, "more", 60 * PAGE(s), 90 * PAGE(s));
    scene_sync(s);
    scene_append(s, "more", 10);
    scene_sync(s);
}

static void large(struct scene *s)
{
    scene_write(s, "large", 0, 60 * PAGE(s));
    for (unsigned i = 0; i < 60; i++) { /* dirty pages come and go */
        scene_write(s, "large", below(s, 58 * PAGE(s)), PAGE(s) + 3);
        scene_write(s, numbered("small", i % 20), 0, 50 + below(s, 50));
    }
    scene_sync(s);
    for (unsigned i = 0; i < 30; i++) {
        scene_write(s, "large", below(s, 58 * PAGE(s)), 40);
    }
    scene_remove(s, "small007");
    scene_sync(s);
    for (unsigned i = 0; i < 30; i++) {
        scene_write(s, "large", below(s, 58 * PAGE(s)), 40);
    }
    scene_abort(s); /* and what it spilled lies around */
    scene_write(s, "large", 7, PAGE(s));
    scene_sync(s);
}

/* ---- Generations ------------------------------------------------------ */

static void wrap(struct scene *s)
{
    for (unsigned i = 0; i < 40; i++) {
        scene_write(s, "counter", 0, 16);
        scene_sync(s);
    }
}

static void before_high(struct scene *s)
{
    scene_number(s, (UINT64_C(1) << 32) - 3);
    scene_write(s, "counter", 0, 2 * PAGE(s));
    scene_sync(s);
}

static void before_highest(struct scene *s)
{
    scene_number(s, (UINT64_C(1) << 46) - 40);
    scene_write(s, "counter", 0, 2 * PAGE(s));
    scene_sync(s);
}

static void high(struct scene *s)
{
    for (unsigned i = 0; i < 10; i++) {
        scene_write(s, "counter", below(s, PAGE(s)), PAGE(s));
        scene_sync(s);
    }
}

/* Processes that die in the middle of a commit, on a device that lives on: what
 * they wrote without a flush is found by the next one, and may be lost yet. */
static void killed(struct scene *s)
{
    scene_write(s, "data", 0, 4 * PAGE(s));
    scene_sync(s);
    for (unsigned i = 0; i < 12; i++) {
        scene_write(s, "data", below(s, 4 * PAGE(s)), PAGE(s));
        switch (i % 4) {
        case 0:
        case 1:
            scene_die_in_sync(s, BD_FAULT_FLUSH, 1);
            break;
        case 2:
            scene_die_in_sync(s, BD_FAULT_WRITE, 1 + i / 4);
            break;
        default:
            scene_die(s);
            break;
        }
    }
    scene_write(s, "data", 0, 3 * PAGE(s));
    scene_sync(s);
    scene_write(s, "data", 9, 3 * PAGE(s));
    scene_sync(s);
}

/* The device holds back what was written, and the disk is mounted anew: the
 * newest two generations are made equal first. */
static void settle(struct scene *s)
{
    for (unsigned i = 0; i < 8; i++) {
        scene_write(s, "data", below(s, 4 * PAGE(s)), PAGE(s));
        scene_sync(s);
        scene_write(s, "data", below(s, 4 * PAGE(s)), PAGE(s));
        scene_die_in_sync(s, BD_FAULT_WRITE, 1 + i);
        scene_remove(s, "data");
        scene_write(s, "data", 0, 5 * PAGE(s));
        scene_sync(s);
    }
}

/* ---- The disk --------------------------------------------------------- */

static void before_resize(struct scene *s)
{
    scene_write(s, "data", 0, 30 * PAGE(s));
    scene_sync(s);
    scene_truncate(s, "data", 10 * PAGE(s));
    scene_sync(s);
}

static void resize(struct scene *s)
{
    scene_resize(s, s->page_count - 20);
    scene_append(s, "data", 5 * PAGE(s));
    scene_sync(s);
    scene_resize(s, s->page_count - 100);
    scene_append(s, "data", 5 * PAGE(s));
    scene_sync(s);
    scene_resize(s, s->page_count);
    scene_append(s, "data", 60 * PAGE(s));
    scene_sync(s);
    scene_remove(s, "data");
    scene_sync(s);
}

static void before_format(struct scene *s)
{
    for (unsigned i = 0; i < 12; i++) {
        scene_write(s, numbered("old", i), 0, i * PAGE(s) / 2);
        scene_sync(s);
    }
}

static void format_same(struct scene *s)
{
    scene_format(s, s->config->profile);
    scene_write(s, "new", 0, 3 * PAGE(s));
    scene_sync(s);
}

static void format_other(struct scene *s)
{
    scene_format(s, s->config->profile == NF_PROFILE_NATIVE
                        ? NF_PROFILE_MIRAGE
                        : NF_PROFILE_NATIVE);
    scene_write(s, "new", 0, 3 * PAGE(s));
    scene_sync(s);
}

const struct scenario scenarios[] = {
    {"append", 400, 0, NULL, append},
    {"overwrite", 400, NOT_64K, before_overwrite, overwrite},
    {"truncate", 400, NOT_64K, before_overwrite, truncate},
    {"rename", 200, 0, NULL, rename_them},
    {"remove", 300, NOT_64K, before_remove, remove_them},
    {"many-files", 300, NOT_64K, NULL, many_files},
    {"disk-full", 110, NOT_64K, before_full, disk_full},
    {"deep-queue", 900, ONLY_512, before_queue, deep_queue},
    {"large", 400, NOT_64K, NULL, large},
    {"wrap", 100, 0, NULL, wrap},
    {"high", 100, ONLY_NATIVE | NOT_64K, before_high, high},
    {"highest", 100, ONLY_NATIVE | NOT_64K, before_highest, high},
    {"killed", 150, 0, NULL, killed},
    {"settle", 150, NOT_64K, NULL, settle},
    {"resize", 400, ONLY_NATIVE | NOT_64K, before_resize, resize},
    {"format-same", 150, ONLY_FLUSH, before_format, format_same},
    {"format-other", 150, ONLY_FLUSH | NOT_64K, before_format, format_other},
};

const size_t n_scenarios = sizeof(scenarios) / sizeof(scenarios[0]);
