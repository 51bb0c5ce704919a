/* SPDX-License-Identifier: ISC */
#include "tests/model/pack_world.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/account.h"

#define DISK_LEN (24u << 20)

enum { IN_MEMORY, IN_FOLDER, ON_DISK };

/* ---- Making ----------------------------------------------------------- */

void world_make(struct world *w, enum world_disk kind)
{
    static const char *const names[STORES] = {"memory", "folder", "disk"};
    const bool mirage = kind == WORLD_MIRAGE_4096;
    const struct nf_format_options options = {
        .profile = mirage ? NF_PROFILE_MIRAGE : NF_PROFILE_NATIVE};
    const uint32_t page = kind == WORLD_NATIVE_512 ? 512 : 4096;
    for (int i = 0; i < STORES; i++) {
        w->stores[i].name = names[i];
        mem_fault_init(&w->stores[i].mem);
    }
    world_must("files", pk_vfs_mem_open(&w->stores[IN_MEMORY].mem.env,
                                        &w->files, &w->stores[IN_MEMORY].vfs));
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(w->folder, sizeof(w->folder), "%.40s/pack-model-XXXXXX",
                   tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(w->folder) == NULL) {
        world_die(w->folder, NF_EIO);
    }
    w->disk = bd_fault_open(
        &(struct bd_geometry){DISK_LEN / page, page, BD_CAP_FLUSH});
    world_must("format",
               nf_format(&w->disk->bd, &w->stores[ON_DISK].mem.env, &options));
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void world_destroy(struct world *w)
{
    pk_vfs_mem_close(w->files);
    (void)nftw(w->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    bd_fault_close(w->disk);
    for (int i = 0; i < STORES; i++) {
        if (w->stores[i].mem.live_blocks != 0) {
            world_die("memory was not released", 0);
        }
    }
}

/* ---- Opening ---------------------------------------------------------- */

static void open_repo(struct world *w, struct store *s, uint32_t flags,
                      struct pk_repo **ret_repo)
{
    struct pk_open opts = w->opts;
    struct nf_error_info info = {0};
    opts.vfs = &s->vfs;
    opts.flags = flags;
    const int err = pk_repo_open(&s->mem.env, &opts, &info, ret_repo);
    if (err != 0) {
        fprintf(stderr, "%s, %s at %lld: %s\n", s->name, info.file,
                (long long)info.offset, info.what == NULL ? "" : info.what);
        world_die("open", err);
    }
}

void world_open(struct world *w)
{
    struct store *disk = &w->stores[ON_DISK];
    world_must("folder",
               pk_vfs_posix_open(w->folder, PK_VFS_POSIX_NO_SYNC, &w->posix,
                                 &w->stores[IN_FOLDER].vfs));
    world_must("mount", nf_mount(&w->disk->bd, &disk->mem.env, NULL, &w->nf));
    world_must("files", pk_vfs_notafs_open(w->nf, &disk->mem.env, nf_path("/s"),
                                           &w->vfs, &disk->vfs));
    for (int i = 0; i < STORES; i++) {
        struct store *s = &w->stores[i];
        open_repo(w, s, PK_OPEN_WRITE | PK_OPEN_CREATE, &s->repo);
        open_repo(w, s, 0, &s->reader);
    }
}

void world_close(struct world *w)
{
    for (int i = 0; i < STORES; i++) {
        struct store *s = &w->stores[i];
        pk_tree_free(s->tree);
        s->tree = NULL;
        world_must("close a reader", pk_repo_close(s->reader));
        world_must("close", pk_repo_close(s->repo));
    }
    pk_vfs_posix_close(w->posix);
    pk_vfs_notafs_close(w->vfs);
    if (!account_exact(w->nf, stderr)) {
        world_die("the accounting is wrong", 0);
    }
    nf_unmount(w->nf);
}

/* ---- Checking --------------------------------------------------------- */

static int tell(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    fprintf(stderr, "%s at %lld: %s\n", finding->file,
            (long long)finding->offset, finding->what);
    return finding->err;
}

struct same {
    const struct pk_vfs *a;
    const struct pk_vfs *b;
    char dir[16];
    uint64_t n;
};

static size_t read_file(const struct pk_vfs *vfs, const char *name,
                        uint64_t off, uint8_t *buf, size_t len)
{
    size_t got = 0;
    void *file;
    world_must(name, vfs->ops->open(vfs->ctx, name, 0, &file));
    world_must(name, vfs->ops->read(vfs->ctx, file, off, buf, len, &got));
    world_must(name, vfs->ops->close(vfs->ctx, file));
    return got;
}

static int same_file(void *arg, const char *step, uint64_t len)
{
    static uint8_t a[65536];
    static uint8_t b[65536];
    struct same *same = arg;
    char name[PK_VFS_NAME_MAX + 1];
    (void)snprintf(name, sizeof(name), "%s%s%s", same->dir,
                   same->dir[0] == '\0' ? "" : "/", step);
    if (strcmp(step, "lock") ==
        0) { /* it is not in all, or tells who holds it */
        return 0;
    }
    same->n++;
    for (uint64_t off = 0; off <= len; off += sizeof(a)) {
        const size_t n = read_file(same->a, name, off, a, sizeof(a));
        if (read_file(same->b, name, off, b, sizeof(b)) != n ||
            (n > 0 && memcmp(a, b, n) != 0)) {
            world_die(name, NF_ECORRUPT);
        }
    }
    return 0;
}

static int count_file(void *arg, const char *step, uint64_t len)
{
    (void)len;
    *(uint64_t *)arg += strcmp(step, "lock") != 0;
    return 0;
}

/* All files of two stores. */
static void same_files(const struct pk_vfs *a, const struct pk_vfs *b)
{
    static const char *const dirs[] = {"", "index"};
    for (int i = 0; i < 2; i++) {
        struct same same = {.a = a, .b = b};
        uint64_t n = 0;
        strcpy(same.dir, dirs[i]);
        world_must(dirs[i], a->ops->list(a->ctx, dirs[i], same_file, &same));
        world_must(dirs[i], b->ops->list(b->ctx, dirs[i], count_file, &n));
        if (n != same.n) {
            world_die("other files", NF_ECORRUPT);
        }
    }
}

void world_check(struct world *w)
{
    struct pk_check_stats stats;
    for (int i = 0; i < STORES; i++) {
        struct store *s = &w->stores[i];
        world_must("flush", pk_repo_flush(s->repo));
        world_must("check", pk_check(s->repo, tell, NULL, &stats));
        world_must("reload", pk_repo_reload(s->reader));
        world_must("check as reader", pk_check(s->reader, tell, NULL, &stats));
        if (i > 0) {
            same_files(&w->stores[0].vfs, &s->vfs);
        }
    }
}
