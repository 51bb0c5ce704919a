/* SPDX-License-Identifier: ISC */
#include "bench/places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/harness.h"

static const char *const names[N_PLACES] = {
    [PLACE_IMAGE] = "image",   [PLACE_STORE] = "store",
    [PLACE_NULL] = "null",     [PLACE_NULL_WRITE] = "null, written through",
    [PLACE_BINDFS] = "bindfs", [PLACE_FOLDER] = "folder",
};

static void make_dir(const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        bench_fail("%s: %s", path, strerror(errno));
    }
}

static void mount_it(struct place *p)
{
    const char *image[] = {p->program, "mount", "-f", p->source, p->dir, NULL};
    const char *store[] = {p->program, "-s",   p->source, "mount",
                           "-f",       p->dir, NULL};
    const char *bindfs[] = {"bindfs", "-f", p->source, p->dir, NULL};

    switch (p->kind) {
    case PLACE_IMAGE:
        mount_program(&p->mount, p->dir, image);
        break;
    case PLACE_STORE:
        mount_program(&p->mount, p->dir, store);
        break;
    case PLACE_NULL:
    case PLACE_NULL_WRITE:
        mount_function(&p->mount, p->dir, null_mount_serve, &p->null);
        break;
    case PLACE_BINDFS:
        mount_program(&p->mount, p->dir, bindfs);
        break;
    case PLACE_FOLDER:
    case N_PLACES:
        break;
    }
}

/* What is below it, new and empty. */
static void make_source(struct place *p, const struct place_options *options)
{
    switch (p->kind) {
    case PLACE_IMAGE: {
        p->program = own_program(options->programs, "notafs");
        const char *format[] = {p->program, "format",           "-d", p->source,
                                "--size",   options->image_len, NULL};
        (void)run_program(format);
        break;
    }
    case PLACE_STORE: {
        p->program = own_program(options->programs, "notapack");
        const char *init[] = {p->program, "-s", p->source, "init", NULL};
        (void)run_program(init);
        break;
    }
    case PLACE_NULL:
    case PLACE_NULL_WRITE:
        null_mount_init(&p->null, options->n_files, p->kind == PLACE_NULL);
        break;
    case PLACE_BINDFS:
    case PLACE_FOLDER:
        make_dir(p->source);
        break;
    case N_PLACES:
        break;
    }
}

bool place_open(struct place *place, enum place_kind kind,
                const struct place_options *options)
{
    char name[16] = "place0";

    *place = (struct place){.kind = kind, .name = names[kind]};
    if (kind == PLACE_BINDFS && !has_program("bindfs")) {
        bench_skip("fuse", "bindfs", "no such program");
        return false;
    }
    name[5] = (char)('0' + kind);
    place->dir = bench_path(options->scratch, name);
    place->source = bench_path(options->scratch, names[kind]);
    make_source(place, options);
    mount_it(place);
    if (kind == PLACE_STORE) { /* its first branch */
        char *live = bench_path(place->dir, "live");

        place->root = bench_path(live, "main");
        make_dir(place->root);
        free(live);
    } else {
        place->root = strdup(kind == PLACE_FOLDER ? place->source : place->dir);
    }
    place->open = true;
    return true;
}

void place_remount(struct place *place)
{
    if (place_is_served(place)) {
        mount_end(&place->mount);
        mount_it(place);
    }
}

bool place_is_served(const struct place *place)
{
    return place->kind != PLACE_FOLDER;
}

enum place_kind place_null_of(enum place_kind kind)
{
    return kind == PLACE_STORE || kind == PLACE_NULL_WRITE ? PLACE_NULL_WRITE
                                                           : PLACE_NULL;
}

void place_close(struct place *place)
{
    if (place_is_served(place)) {
        mount_end(&place->mount);
    }
    if (place->null.lens != NULL) {
        null_mount_deinit(&place->null);
    }
    free(place->root);
    free(place->dir);
    free(place->source);
    free(place->program);
    place->open = false;
}
