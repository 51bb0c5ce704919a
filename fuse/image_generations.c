/* SPDX-License-Identifier: ISC */
/*
 * .generations: the older states of the disk that are whole, each a directory
 * by its number. Who looks into one opens a view of it, which keeps its pages
 * from being given out again; so one that nobody has looked at for a while is
 * made unknown to the kernel, and closed once that has forgotten all of it.
 *
 * Views are opened and closed in turn with the live handle, so a space whose
 * last node has gone waits in a list for somebody who has it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/image_int.h"

#define SPACE_CACHE ((size_t)1 << 20) /* bytes */
#define MAX_LISTED  64

/* Whether a view of it shows all of it, and its time. Under live.turn. */
static int check_number(struct image *image, uint64_t number,
                        struct nf_time *ret)
{
    struct nf_generation known[MAX_LISTED];
    int n = nf_generations(image->live.nf, known, MAX_LISTED);
    for (int i = 0; i < n; i++) {
        if (known[i].number == number) {
            *ret = known[i].time;
            return known[i].complete ? 0 : NF_ENOENT;
        }
    }
    return n < 0 ? n : NF_ENOENT;
}

static bool parse_number(const char *name, uint64_t *ret)
{
    if (*name < '1' || *name > '9' ||
        name[strspn(name, "0123456789")] != '\0' || strlen(name) > 18) {
        return false;
    }
    *ret = strtoull(name, NULL, 10);
    return true;
}

/* The root of a generation that is open already, looked up once more. */
static struct node *find_root(struct image *image, uint64_t number)
{
    struct node *root = NULL;
    pthread_mutex_lock(&image->lock);
    for (struct space *space = image->spaces; space != NULL;
         space = space->next) {
        if (space->number == number) {
            root = space->root;
            root->n_lookups++;
        }
    }
    pthread_mutex_unlock(&image->lock);
    return root;
}

static int open_space(struct image *image, struct node *parent,
                      const char *name, uint64_t number, struct node **ret)
{
    struct space *space = calloc(1, sizeof(*space));
    if (space == NULL) {
        return NF_ENOMEM;
    }
    int err = nf_view_open(image->live.nf, number, SPACE_CACHE, &space->nf);
    if (err != 0) {
        free(space);
        return err;
    }
    space->number = number;
    space->used = true;
    turn_init(&space->turn);
    pthread_mutex_lock(&image->lock);
    *ret = image_node_add_root(image, space, parent, name);
    space->root = *ret;
    space->next = *ret != NULL ? image->spaces : image->dead_spaces;
    *(*ret != NULL ? &image->spaces : &image->dead_spaces) = space;
    pthread_mutex_unlock(&image->lock);
    return *ret != NULL ? 0 : NF_ENOMEM;
}

int image_generation_open(struct image *image, struct node *parent,
                          const char *name, struct node **ret)
{
    struct nf_time time;
    uint64_t number;
    if (!parse_number(name, &number)) {
        return NF_ENOENT;
    }
    turn_take(&image->live.turn);
    image_spaces_reap(image);
    int err = 0;
    *ret = find_root(image, number);
    if (*ret == NULL && !image->readonly && !image->broken &&
        nf_is_dirty(image->live.nf)) {
        /* What is pending may have taken its pages already. */
        err = image_sync_now(image) == 0 ? 0 : NF_EIO;
    }
    if (*ret == NULL && err == 0) {
        err = check_number(image, number, &time);
        if (err == 0) {
            err = open_space(image, parent, name, number, ret);
        }
        if (err == 0) {
            (*ret)->mtime.tv_sec = time.sec;
            (*ret)->mtime.tv_nsec = time.nsec;
        }
    }
    turn_pass(&image->live.turn);
    return err;
}

int image_generation_names(struct image *image, char (*ret)[IMAGE_NUMBER_LEN],
                           size_t max)
{
    struct nf_generation known[MAX_LISTED];
    size_t n = 0;
    turn_take(&image->live.turn);
    int got = nf_generations(image->live.nf, known, MAX_LISTED);
    turn_pass(&image->live.turn);
    for (int i = 0; i < got && n < max; i++) {
        if (known[i].complete) {
            snprintf(ret[n++], IMAGE_NUMBER_LEN, "%llu",
                     (unsigned long long)known[i].number);
        }
    }
    return got < 0 ? got : (int)n;
}

void image_space_close(struct image *image, struct space *space)
{
    struct space **at = &image->spaces;
    while (*at != NULL && *at != space) {
        at = &(*at)->next;
    }
    if (*at == space) {
        *at = space->next;
        space->next = image->dead_spaces;
        image->dead_spaces = space;
    }
}

void image_spaces_reap(struct image *image)
{
    pthread_mutex_lock(&image->lock);
    struct space *space = image->dead_spaces;
    image->dead_spaces = NULL;
    pthread_mutex_unlock(&image->lock);
    while (space != NULL) {
        struct space *next = space->next;
        nf_unmount(space->nf);
        turn_deinit(&space->turn);
        free(space);
        space = next;
    }
}

void image_spaces_expire(struct image *image)
{
    char names[MAX_LISTED][IMAGE_NUMBER_LEN];
    fuse_ino_t parent = 0;
    size_t n = 0;
    pthread_mutex_lock(&image->lock);
    for (struct space *space = image->spaces; space != NULL;
         space = space->next) {
        if (!space->used && n < MAX_LISTED) {
            memcpy(names[n], space->root->name, space->root->name_len + 1);
            parent = image_ino(image, space->root->parent);
            n++;
        }
        space->used = false;
    }
    pthread_mutex_unlock(&image->lock);
    for (size_t i = 0; i < n; i++) {
        /* Where it is in use the kernel keeps it. */
        (void)fuse_lowlevel_notify_inval_entry(image->session, parent, names[i],
                                               strlen(names[i]));
    }
    turn_take(&image->live.turn);
    image_spaces_reap(image);
    turn_pass(&image->live.turn);
}

/* At the end, when all nodes have been let go of. */
void image_spaces_deinit(struct image *image)
{
    while (image->spaces != NULL) {
        image_space_close(image, image->spaces);
    }
    image_spaces_reap(image);
}
