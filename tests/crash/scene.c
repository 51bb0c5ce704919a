/* SPDX-License-Identifier: ISC */
#include "tests/crash/scene.h"

#include <stdlib.h>
#include <string.h>

#include "notafs/native_int.h"

#define MAX_LEN (60 * 65536)

static _Noreturn void die(struct scene *s, const char *what, int err)
{
    const struct nf_error_info none = {0};
    const struct nf_error_info *info =
        s->nf == NULL ? &none : nf_last_error(s->nf);
    fprintf(stderr, "scene on %s: %s: %s (page %lld, %s)\n", s->config->name,
            what, nf_errname(err), (long long)info->page,
            info->what == NULL ? "" : info->what);
    exit(EXIT_FAILURE);
}

static bool done(struct scene *s, const char *what, int err)
{
    if (err != 0 && err != NF_ENOSPC) {
        die(s, what, err);
    }
    return err == 0;
}

/* ---- Changes ---------------------------------------------------------- */

static struct nf_file *open_file(struct scene *s, const char *path)
{
    struct nf_file *file = NULL;
    uint64_t id;
    if (!done(s, path, nf_open(s->nf, nf_path(path), NF_OPEN_CREATE, &file))) {
        return NULL;
    }
    if (model_open(&s->model, nf_path(path), NF_OPEN_CREATE, &id) != 0) {
        die(s, path, NF_EEXIST);
    }
    return file;
}

static struct model_node *node_of(struct scene *s, const char *path)
{
    struct model_node *node = NULL;
    if (model_find(&s->model, nf_path(path), &node) != 0 || node == NULL) {
        die(s, path, NF_ENOENT);
    }
    return node;
}

bool scene_write(struct scene *s, const char *path, size_t off, size_t len)
{
    static uint8_t buf[MAX_LEN];
    if (len > sizeof(buf)) {
        die(s, path, NF_EFBIG);
    }
    struct nf_file *file = open_file(s, path);
    if (file == NULL) {
        return false;
    }
    prng_bytes(&s->prng, len, buf);
    const bool ok = done(s, path, nf_write(file, off, buf, len));
    nf_close(file);
    if (ok) {
        model_write(node_of(s, path), off, buf, len);
    }
    return ok;
}

bool scene_append(struct scene *s, const char *path, size_t len)
{
    struct model_node *node;
    const bool is_new = model_find(&s->model, nf_path(path), &node) != 0;
    return scene_write(s, path, is_new ? 0 : node->size, len);
}

bool scene_truncate(struct scene *s, const char *path, size_t size)
{
    struct nf_file *file = open_file(s, path);
    if (file == NULL) {
        return false;
    }
    const bool ok = done(s, path, nf_truncate(file, size));
    nf_close(file);
    if (ok) {
        model_truncate(node_of(s, path), size);
    }
    return ok;
}

bool scene_punch(struct scene *s, const char *path, size_t off, size_t len)
{
    struct nf_file *file = open_file(s, path);
    if (file == NULL) {
        return false;
    }
    const bool ok = done(s, path, nf_punch(file, off, len));
    nf_close(file);
    if (ok) {
        model_punch(node_of(s, path), off, len);
    }
    return ok;
}

bool scene_mkdir(struct scene *s, const char *path)
{
    return done(s, path, nf_mkdir(s->nf, nf_path(path))) &&
           model_mkdir(&s->model, nf_path(path)) == 0;
}

bool scene_remove(struct scene *s, const char *path)
{
    const uint32_t flags = NF_REMOVE_RECURSIVE;
    return done(s, path, nf_remove(s->nf, nf_path(path), flags)) &&
           model_remove(&s->model, nf_path(path), flags) == 0;
}

bool scene_rename(struct scene *s, const char *from, const char *to)
{
    return done(s, from, nf_rename(s->nf, nf_path(from), nf_path(to), 0)) &&
           model_rename(&s->model, nf_path(from), nf_path(to), 0) == 0;
}

/* ---- Commits ---------------------------------------------------------- */

static uint64_t generation_of(struct scene *s)
{
    struct nf_stats stats;
    nf_stats(s->nf, &stats);
    return stats.generation;
}

static struct commit *commit_new(struct scene *s)
{
    if (s->n_commits == s->cap) {
        s->cap = 2 * s->cap + 16;
        s->commits = realloc(s->commits, s->cap * sizeof(*s->commits));
        if (s->commits == NULL) {
            abort();
        }
    }
    struct commit *commit = &s->commits[s->n_commits++];
    *commit = (struct commit){.begun = s->log.n, .acked = SIZE_MAX};
    return commit;
}

/* The commit is on the disk. */
static void commit_end(struct scene *s, struct commit *commit)
{
    if (!model_matches(&s->model, s->nf, stderr)) {
        die(s, "the disk is not the model", 0);
    }
    tree_read(s->nf, NULL, &commit->tree);
    commit->generation = generation_of(s);
    model_copy(&s->committed, &s->model);
}

/* The disk is as some commit left it that was not made here. */
static void commit_note(struct scene *s)
{
    struct commit *commit = commit_new(s);
    commit->acked = s->log.n;
    commit_end(s, commit);
}

void scene_sync(struct scene *s)
{
    struct commit *commit = commit_new(s);
    const int err = nf_sync(s->nf);
    if (err != 0) {
        die(s, "sync", err);
    }
    commit->acked = s->log.n;
    commit_end(s, commit);
}

void scene_abort(struct scene *s)
{
    const int err = nf_abort(s->nf);
    if (err != 0) {
        die(s, "abort", err);
    }
    model_copy(&s->model, &s->committed);
}

static void mount(struct scene *s)
{
    const int err = nf_mount(&s->fault->bd, &s->mem.env, &s->options, &s->nf);
    if (err != 0) {
        s->nf = NULL;
        die(s, "mount", err);
    }
}

void scene_die(struct scene *s)
{
    nf_unmount(s->nf);
    mount(s);
    model_copy(&s->model, &s->committed);
}

void scene_die_in_sync(struct scene *s, enum bd_fault_op op, uint64_t nth)
{
    struct commit *commit = commit_new(s);
    bd_fault_fail(s->fault, op, nth, true);
    const int err = nf_sync(s->nf);
    bd_fault_fail(s->fault, op, 0, false);
    if (err == 0) { /* it had no such request */
        commit->acked = s->log.n;
        commit_end(s, commit);
        return;
    }
    nf_unmount(s->nf);
    mount(s);
    commit->lost = !model_matches(&s->model, s->nf, NULL);
    if (commit->lost) {
        model_copy(&s->model, &s->committed);
    } else {
        commit_end(s, commit);
    }
}

void scene_resize(struct scene *s, uint64_t pages)
{
    const int err = nf_resize(s->nf, pages);
    if (err != 0) {
        die(s, "resize", err);
    }
    scene_sync(s);
}

/* ---- Formatting ------------------------------------------------------- */

static void format(struct scene *s, enum nf_profile profile)
{
    const struct nf_format_options options = {
        .profile = profile,
        .checksum = profile == s->config->profile ? s->config->checksum
                                                  : NF_CHECKSUM_DEFAULT,
    };
    const int err = nf_format(&s->fault->bd, &s->mem.env, &options);
    if (err != 0) {
        die(s, "format", err);
    }
}

void scene_format(struct scene *s, enum nf_profile profile)
{
    struct nf_stats stats;
    nf_unmount(s->nf);
    s->nf = NULL;
    s->reformats = true;
    struct commit *commit = commit_new(s);
    format(s, profile);
    commit->acked = s->log.n;
    mount(s);
    nf_stats(s->nf, &stats);
    model_deinit(&s->model);
    model_init(&s->model, stats.max_name_bytes);
    commit_end(s, commit);
}

void scene_number(struct scene *s, uint64_t generation)
{
    const size_t size = s->config->page_size;
    struct nf_stats stats;
    uint8_t page[65536];
    nf_stats(s->nf, &stats);
    const uint64_t stride = stats.disk.slot_stride;
    nf_unmount(s->nf);
    memcpy(page, bd_fault_page(s->fault, 2 * stride), size); /* generation 1 */
    nf_put_le64(page + 16, generation);
    nf_put_le64(page + size - 8, nf_xxh3(page, size - 8));
    bd_fault_store(s->fault, (1 + generation % stats.disk.slots) * stride,
                   page);
    mount(s);
    if (generation_of(s) != generation) {
        die(s, "another generation number", 0);
    }
    commit_note(s);
}

/* ---- Open and close --------------------------------------------------- */

bool scene_open(struct scene *s, const struct config *config,
                const struct scenario *scenario, uint64_t seed)
{
    const bool honest = (config->caps & BD_CAP_FLUSH) != 0 && config->held == 0;
    struct nf_stats stats;
    if (((scenario->only & ONLY_NATIVE) != 0 &&
         config->profile != NF_PROFILE_NATIVE) ||
        ((scenario->only & ONLY_FLUSH) != 0 && !honest) ||
        ((scenario->only & ONLY_512) != 0 && config->page_size > 512) ||
        ((scenario->only & NOT_64K) != 0 && config->page_size > 4096)) {
        return false;
    }
    *s = (struct scene){
        .config = config,
        .page_count = scenario->pages,
        .prng = prng_seed(seed),
        .options = {.cache_bytes = (size_t)16 * config->page_size},
    };
    mem_fault_init(&s->mem);
    s->fault = bd_fault_open(&(struct bd_geometry){
        scenario->pages, config->page_size, config->caps});
    format(s, config->profile);
    mount(s);
    nf_stats(s->nf, &stats);
    model_init(&s->model, stats.max_name_bytes);
    model_init(&s->committed, stats.max_name_bytes);
    commit_note(s);
    if (scenario->before != NULL) {
        scenario->before(s);
    }
    bd_fault_mark(s->fault);
    s->fault->log = &s->log;
    scenario->run(s);
    s->fault->log = NULL;
    nf_unmount(s->nf);
    s->nf = NULL;
    if (s->mem.live_blocks != 0) {
        die(s, "memory was not released", 0);
    }
    bd_fault_reset(s->fault);
    return true;
}

void scene_close(struct scene *s)
{
    for (size_t i = 0; i < s->n_commits; i++) {
        tree_deinit(&s->commits[i].tree);
    }
    free(s->commits);
    model_deinit(&s->model);
    model_deinit(&s->committed);
    bd_fault_log_deinit(&s->log);
    bd_fault_close(s->fault);
}
