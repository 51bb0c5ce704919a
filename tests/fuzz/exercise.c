/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/exercise.h"

#include <string.h>

#include <notafs/notafs.h>

#include "tests/support/mem_fault.h"

#define MAX_PATHS   48 /* files and directories that are looked at closely */
#define MAX_PATH    600
#define MAX_ENTRIES 3000 /* entries that are listed, names included twice */
#define MAX_OPS     24
#define MEMORY      ((size_t)4 << 20) /* what a mount of such disks needs */
#define TRANSFERS   400000            /* pages: more is a hang */

struct path {
    char bytes[MAX_PATH];
    size_t len;
    bool is_dir;
};

struct exercise {
    struct fuzz_disk *disk;
    struct mem_fault mem;
    struct nf *nf;
    struct path paths[MAX_PATHS];
    size_t n_paths;
    size_t n_entries;
    uint8_t buf[9000];
};

static struct nf_path to_nf(const struct path *path)
{
    const struct nf_path p = {path->bytes, path->len};

    return p;
}

/* Damage is told with its place. */
static int note(struct exercise *ex, int err, bool of_file)
{
    if (err >= 0 || nf_err_class(err) != NF_ECORRUPT) {
        return err;
    }
    const struct nf_error_info *info = nf_last_error(ex->nf);

    fuzz_check(info->err == err);
    fuzz_check(info->what != NULL && info->what[0] != '\0');
    fuzz_check(!of_file || info->file[0] != '\0');
    fuzz_check(!of_file || info->page != NF_NOWHERE || err == NF_EC_QUEUE ||
               err == NF_EC_TABLE || err == NF_EC_NODE);
    return err;
}

/* ---- Looking -------------------------------------------------------- */

static void look_at_file(struct exercise *ex, const struct path *path)
{
    struct nf_file *file;
    struct nf_stat st;
    size_t len;
    uint64_t at = 0;

    if (note(ex, nf_open(ex->nf, to_nf(path), 0, &file), true) != 0) {
        return;
    }
    fuzz_check(nf_fstat(file, &st) == 0);
    const uint64_t places[] = {0, st.size / 2, st.size - sizeof(ex->buf) / 2};
    for (size_t i = 0; i < 3; i++) {
        (void)note(ex, nf_read(file, places[i], ex->buf, sizeof(ex->buf), &len),
                   true);
    }
    for (int i = 0; i < 16; i++) {
        if (nf_seek_data(file, at, &at) != 0 ||
            nf_seek_hole(file, at, &at) != 0) {
            break;
        }
        fuzz_check(at <= st.size);
    }
    nf_close(file);
}

/* Append the entry to the list of paths, and look at a file. */
static void take(struct exercise *ex, const struct path *dir,
                 const struct nf_dirent *entry)
{
    struct path *path = &ex->paths[ex->n_paths];

    ex->n_entries++;
    if (ex->n_paths == MAX_PATHS || dir->len + 1 + entry->name_len > MAX_PATH) {
        return;
    }
    memcpy(path->bytes, dir->bytes, dir->len);
    path->bytes[dir->len] = '/';
    memcpy(path->bytes + dir->len + 1, entry->name, entry->name_len);
    path->len = dir->len + 1 + entry->name_len;
    path->is_dir = entry->stat.type == NF_TYPE_DIR;
    ex->n_paths++;
}

static void list(struct exercise *ex, const struct path *path)
{
    struct nf_dir *dir;
    struct nf_dirent entry;
    struct path last = {.len = 0};
    int got;

    if (note(ex, nf_dir_open(ex->nf, to_nf(path), &dir), false) != 0) {
        return;
    }
    while (ex->n_entries < MAX_ENTRIES &&
           (got = note(ex, nf_dir_next(dir, &entry), false)) != 0) {
        if (got < 0) {
            ex->n_entries += MAX_ENTRIES / 8;
            continue; /* others may be readable */
        }
        const size_t common =
            last.len < entry.name_len ? last.len : entry.name_len;
        const int order = memcmp(last.bytes, entry.name, common);

        fuzz_check(entry.name_len > 0 && entry.name_len < MAX_PATH);
        fuzz_check(order < 0 || (order == 0 && last.len < entry.name_len));
        memcpy(last.bytes, entry.name, entry.name_len);
        last.len = entry.name_len;
        take(ex, path, &entry);
    }
    nf_dir_close(dir);
}

static void look(struct exercise *ex)
{
    const struct path root = {.len = 0, .is_dir = true};

    ex->n_paths = 0;
    ex->n_entries = 0;
    list(ex, &root);
    for (size_t i = 0; i < ex->n_paths; i++) {
        if (ex->paths[i].is_dir) {
            list(ex, &ex->paths[i]);
        } else {
            look_at_file(ex, &ex->paths[i]);
        }
    }
}

static void check_finding(void *ctx, const struct nf_finding *finding)
{
    (void)ctx;
    fuzz_check(finding->err <= 0);
    fuzz_check(finding->err == 0 || finding->what[0] != '\0');
    fuzz_check(finding->err != 0 || finding->kind != NF_PAGE_UNKNOWN);
}

/* Whether a scrub found no damage at all. */
static bool scrub(struct exercise *ex)
{
    struct nf_scrub_result result = {0};
    struct nf_scrub *scrub;
    int err = note(
        ex,
        nf_scrub_open(ex->nf, NF_SCRUB_ACCOUNT, check_finding, NULL, &scrub),
        false);

    if (err != 0) {
        return false;
    }
    while ((err = nf_scrub_step(scrub, 64)) == 1) {
    }
    nf_scrub_result(scrub, &result);
    fuzz_check(result.damaged_files <= result.damaged);
    nf_scrub_close(scrub);
    return err == 0 && result.damaged == 0;
}

static void generations(struct exercise *ex)
{
    struct nf_generation list_[16];
    struct nf *view;
    const int n = note(ex, nf_generations(ex->nf, list_, 16), false);

    for (int i = 1; i < n; i++) {
        fuzz_check(list_[i].number < list_[i - 1].number);
    }
    if (n > 1 &&
        note(ex, nf_view_open(ex->nf, list_[1].number, 16 * 4096, &view),
             false) == 0) {
        struct nf_stat st;
        (void)!nf_stat(view, nf_path("docs/deep"), &st);
        nf_unmount(view);
    }
}

/* ---- Changing ------------------------------------------------------- */

/* One of the paths that were found, or of some that were not. */
static struct path choose(const struct exercise *ex, unsigned i)
{
    struct path path = {.bytes = "new/dir/x", .len = 9};

    if (i % 64 < ex->n_paths) {
        return ex->paths[i % 64];
    }
    path.bytes[8] = (char)('a' + i % 16);
    path.len -= i / 64 % 2 == 0 ? 0 : 2;
    return path;
}

static int change_file(struct exercise *ex, const struct path *path,
                       unsigned kind, uint64_t off, uint32_t len)
{
    const uint32_t flags = kind == 0 ? 0 : NF_OPEN_CREATE;
    struct nf_file *file;
    int err = note(ex, nf_open(ex->nf, to_nf(path), flags, &file), true);

    if (err != 0) {
        return err;
    }
    memset(ex->buf, (int)len | 1, sizeof(ex->buf));
    switch (kind) {
    case 0:
        err = nf_truncate(file, off);
        break;
    case 1:
        err = nf_append(file, ex->buf, len % sizeof(ex->buf));
        break;
    case 2:
        err = nf_write(file, off, ex->buf, len % sizeof(ex->buf));
        break;
    case 3:
        err = nf_punch(file, off, len % sizeof(ex->buf) * 16);
        break;
    default:
        err = nf_set_compression(file, len % 2 == 0 ? NF_COMPRESSION_NONE
                                                    : NF_COMPRESSION_LZ4);
        break;
    }
    (void)note(ex, err, true);
    nf_close(file);
    return err;
}

static int change(struct exercise *ex, struct fuzz_input *ops)
{
    const uint8_t op = fuzz_u8(ops);
    const struct path a = choose(ex, fuzz_u8(ops));
    const struct path b = choose(ex, fuzz_u8(ops));
    const uint32_t len = fuzz_u8(ops) * 37u;
    const uint64_t off = fuzz_number(fuzz_u32(ops), len);
    const struct nf_time time = {(int64_t)off, len};

    switch (op % 16) {
    case 5:
        return note(ex, nf_mkdir(ex->nf, to_nf(&a)), true);
    case 6:
    case 7:
        return note(
            ex, nf_remove(ex->nf, to_nf(&a), op % 2 ? NF_REMOVE_RECURSIVE : 0),
            true);
    case 8:
    case 9:
        return note(ex, nf_rename(ex->nf, to_nf(&a), to_nf(&b), 0), true);
    case 10:
        return note(ex, nf_set_mtime(ex->nf, to_nf(&a), time), true);
    case 11:
        return note(ex, nf_sync(ex->nf), false);
    case 12:
        return nf_abort(ex->nf);
    case 13:
        return note(ex, nf_resize(ex->nf, off), false);
    default:
        return change_file(ex, &a, op % 16, off, len);
    }
}

/* Whether there were commits, and the last one went well. */
static bool changes(struct exercise *ex, struct fuzz_input *ops)
{
    struct nf_counters counters;

    for (int i = 0; i < MAX_OPS && ops->len > 0; i++) {
        (void)change(ex, ops);
        if (note(ex, nf_sync(ex->nf), false) == NF_EC_TXN_FAILED &&
            nf_abort(ex->nf) != 0) {
            return false;
        }
    }
    const int err = nf_sync(ex->nf);
    nf_counters(ex->nf, &counters);
    return err == 0 && counters.commits > 0;
}

/* ---- All of it ------------------------------------------------------ */

static bool mount(struct exercise *ex, uint8_t options, int *ret_err)
{
    const struct nf_mount_options o = {
        .cache_bytes = 16 * (size_t)ex->disk->bd.geo.page_size,
        .flags = (options & 1u) != 0 ? (uint32_t)NF_MOUNT_VERIFY : 0,
        .codec = &fuzz_codec,
    };
    *ret_err = nf_mount(&ex->disk->bd, &ex->mem.env, &o, &ex->nf);
    return *ret_err == 0;
}

void exercise(struct fuzz_disk *disk, struct fuzz_input ops)
{
    static struct exercise ex;
    const uint8_t options = fuzz_u8(&ops);
    struct nf_stats before;
    struct nf_stats after;
    int err;

    memset(&ex, 0, sizeof(ex));
    ex.disk = disk;
    disk->budget = TRANSFERS;
    mem_fault_init(&ex.mem);
    if (mount(&ex, options, &err)) {
        bool sound = scrub(&ex);

        look(&ex);
        generations(&ex);
        const bool committed = changes(&ex, &ops);
        nf_stats(ex.nf, &before);
        nf_unmount(ex.nf);
        fuzz_check(ex.mem.live_bytes == 0);
        /* What was committed is found, and what was sound is so still. With
         * pages that are used twice and no checksums, it may get lost. */
        const bool kept = sound || before.disk.checksum != NF_CHECKSUM_NONE;
        if (committed && mount(&ex, 0, &err)) {
            nf_stats(ex.nf, &after);
            fuzz_check(!kept || after.generation == before.generation);
            fuzz_check(!kept || after.free_pages == before.free_pages);
            fuzz_check(!sound || scrub(&ex));
            look(&ex);
            nf_unmount(ex.nf);
        } else {
            fuzz_check(!committed || !kept);
        }
    }
    fuzz_check(ex.mem.live_bytes == 0);
    fuzz_check(ex.mem.peak_bytes <= MEMORY);
}
