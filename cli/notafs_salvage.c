/* SPDX-License-Identifier: ISC */
/*
 * The verb salvage: everything that can be read, out of a damaged disk into a
 * directory of the host.
 *
 * All generations that mount are looked at, newest first. A directory's names
 * are the union of what they list, since a damaged page of the table hides
 * names in one and not in another; where a listing breaks off it is taken up
 * behind the damage by guessing where the next name may start. A file comes
 * from the newest generation that has all of it. Only if none has, the newest
 * one's copy is taken with zeros for what is lost, and the lost bytes are
 * listed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/notafs_cli.h"

#define MAX_GENERATIONS 64

struct side {
    uint64_t number;
    struct nf *nf;
};

struct salvage {
    struct cli *cli;
    uint8_t *buf;
    struct side sides[MAX_GENERATIONS]; /* newest first */
    size_t n_sides;
    uint64_t whole;   /* files that are as they were in the newest */
    uint64_t older;   /* from an older generation */
    uint64_t partial; /* with zeros */
    uint64_t lost;    /* nothing of them, or no name here */
    uint64_t lost_bytes;
    bool names_lost; /* a listing broke off */
    json_t *items;   /* or NULL */
};

/* ---- Telling -------------------------------------------------------- */

static void tell(struct salvage *salvage, struct nf_path path,
                 const char *outcome, uint64_t off, uint64_t len)
{
    if (salvage->items != NULL) {
        json_t *object = json_pack("{s:s}", "outcome", outcome);
        cli_json_bytes(object, "path", path);
        if (len > 0) {
            json_object_set_new(object, "offset",
                                json_integer((json_int_t)off));
            json_object_set_new(object, "length",
                                json_integer((json_int_t)len));
        }
        json_array_append_new(salvage->items, object);
        return;
    }
    cli_progress_clear(salvage->cli);
    cli_print_name(stdout, path.len > 0 ? path : nf_path("/"));
    printf(": %s", outcome);
    if (len > 0) {
        printf(", bytes %" PRIu64 "..%" PRIu64, off, off + len - 1);
    }
    printf("\n");
}

/* ---- Files ---------------------------------------------------------- */

/* What could not be read, as runs. */
struct losses {
    struct {
        uint64_t off;
        uint64_t len;
    } * runs;
    size_t n_runs;
    size_t cap_runs;
};

static void add_loss(struct losses *losses, uint64_t off, uint64_t len)
{
    if (losses->n_runs > 0) {
        size_t last = losses->n_runs - 1;
        if (losses->runs[last].off + losses->runs[last].len == off) {
            losses->runs[last].len += len;
            return;
        }
    }
    if (losses->n_runs == losses->cap_runs) {
        losses->cap_runs = 2 * losses->cap_runs + 8;
        losses->runs =
            cli_realloc(losses->runs, losses->cap_runs * sizeof(*losses->runs));
    }
    losses->runs[losses->n_runs].off = off;
    losses->runs[losses->n_runs].len = len;
    losses->n_runs++;
}

/* Write bytes to the copy, but leave holes where they are zeros. */
static int put(int fd, uint64_t off, const uint8_t *p, size_t len)
{
    size_t i = 0;
    while (i < len && p[i] == 0) {
        i++;
    }
    if (i == len) {
        return 0;
    }
    if (lseek(fd, (off_t)off, SEEK_SET) < 0) {
        return -1;
    }
    return cli_write_all(fd, p, len);
}

/* The page that makes the byte at off unreadable; NF_NOWHERE: none is known;
 * 0, which holds no data: the byte can be read. */
static uint64_t bad_page(struct salvage *salvage, const struct side *side,
                         struct nf_file *file, uint64_t off)
{
    size_t got = 0;
    int res = nf_read(file, off, salvage->buf, 1, &got);
    return res == 0 && got == 1 ? 0 : nf_last_error(side->nf)->page;
}

/* Where after off, which cannot be read, the damage ends. What one page hides
 * is one range: its end is found by steps that double, and then by halving. */
static uint64_t skip_loss(struct salvage *salvage, const struct side *side,
                          struct nf_file *file, uint64_t size, uint64_t off)
{
    uint64_t page = bad_page(salvage, side, file, off);
    uint64_t bad = off;
    uint64_t end = size; /* not hidden by this page */
    if (page == NF_NOWHERE) {
        uint64_t len = salvage->cli->disk.page_size;
        return size - off < len ? size : off + len;
    }
    for (uint64_t step = 1; step < size - bad; step *= 2) {
        if (bad_page(salvage, side, file, bad + step) != page) {
            end = bad + step;
            break;
        }
        bad += step;
    }
    while (end - bad > 1) {
        uint64_t middle = bad + (end - bad) / 2;
        if (bad_page(salvage, side, file, middle) == page) {
            bad = middle;
        } else {
            end = middle;
        }
    }
    return end;
}

/* Copy what can be read, in large pieces, and where one fails in smaller ones.
 * -1: the host failed, errno says why. */
static int copy_readable(struct salvage *salvage, const struct side *side,
                         struct nf_file *file, uint64_t size, int fd,
                         struct losses *losses)
{
    uint64_t off = 0;
    size_t piece = CLI_CHUNK;
    while (off < size && !cli_interrupted()) {
        size_t len = (size_t)(size - off < piece ? size - off : piece);
        size_t got = 0;
        if (nf_read(file, off, salvage->buf, len, &got) == 0 && got > 0) {
            if (put(fd, off, salvage->buf, got) < 0) {
                return -1;
            }
            off += got;
            piece = piece < CLI_CHUNK / 2 ? 2 * piece : CLI_CHUNK;
        } else if (len > 1) {
            piece = len / 2;
        } else {
            uint64_t next = skip_loss(salvage, side, file, size, off);
            add_loss(losses, off, next - off);
            off = next;
        }
        cli_progress(
            salvage->cli, "salvage: %" PRIu64 " files, %" PRIu64 " damaged",
            salvage->whole + salvage->older, salvage->partial + salvage->lost);
    }
    return ftruncate(fd, (off_t)size);
}

/* Copy the file from one generation into the empty fd. 0: whatever is lost is
 * in losses; NF_ENOENT: nothing of it is there; -1 and errno as above. */
static int copy_side(struct salvage *salvage, const struct side *side,
                     struct nf_path path, int fd, struct losses *losses,
                     struct nf_stat *ret_stat)
{
    struct nf_file *file;
    losses->n_runs = 0;
    int res = nf_stat(side->nf, path, ret_stat);
    if (res == 0 && ret_stat->type != NF_TYPE_FILE) {
        return NF_ENOENT;
    }
    if (res == 0) {
        res = nf_open(side->nf, path, 0, &file);
    }
    if (res < 0) {
        return NF_ENOENT;
    }
    res = ftruncate(fd, 0) < 0
              ? -1
              : copy_readable(salvage, side, file, ret_stat->size, fd, losses);
    nf_close(file);
    if (res == 0 && losses->n_runs == 1 &&
        losses->runs[0].len == ret_stat->size) {
        return NF_ENOENT;
    }
    return res;
}

static void tell_losses(struct salvage *salvage, struct nf_path path,
                        const struct losses *losses)
{
    for (size_t i = 0; i < losses->n_runs; i++) {
        tell(salvage, path, "lost, zeros in the copy", losses->runs[i].off,
             losses->runs[i].len);
        salvage->lost_bytes += losses->runs[i].len;
    }
}

/* The file from the best generation into fd. */
static int copy_best(struct salvage *salvage, struct nf_path path, int fd)
{
    struct losses losses = {0};
    struct nf_stat stat;
    char text[64];
    int found = -1; /* the newest that has it, whole or not */
    int best = -1;
    int res = 0;
    for (size_t i = 0; i < salvage->n_sides && best < 0 && res != -1; i++) {
        res = copy_side(salvage, &salvage->sides[i], path, fd, &losses, &stat);
        if (res == 0 && found < 0) {
            found = (int)i;
        }
        if (res == 0 && losses.n_runs == 0) {
            best = (int)i;
        }
    }
    if (res != -1 && best < 0 && found >= 0) {
        res = copy_side(salvage, &salvage->sides[found], path, fd, &losses,
                        &stat);
    }
    if (res == -1) {
        free(losses.runs);
        return -1;
    }
    if (best >= 0 && best == found && found == 0) {
        salvage->whole++;
    } else if (best >= 0) {
        salvage->older++;
        snprintf(text, sizeof(text), "from generation %" PRIu64,
                 salvage->sides[best].number);
        tell(salvage, path, text, 0, 0);
    } else if (found >= 0) {
        salvage->partial++;
        tell_losses(salvage, path, &losses);
    }
    if (best >= 0 || found >= 0) {
        struct timespec times[2] = {
            {.tv_nsec = UTIME_OMIT},
            {.tv_sec = (time_t)stat.mtime.sec,
             .tv_nsec = (long)stat.mtime.nsec},
        };
        (void)futimens(fd, times); /* the bytes are what matters */
    }
    free(losses.runs);
    return best >= 0 || found >= 0 ? 1 : 0;
}

/* ---- Names ---------------------------------------------------------- */

struct names {
    struct name {
        char *p; /* terminated */
        size_t len;
        size_t order; /* in which they were found */
        bool is_dir;
    } * list;
    size_t n;
    size_t cap;
};

static int compare_bytes(const struct name *x, const struct name *y)
{
    int order = memcmp(x->p, y->p, x->len < y->len ? x->len : y->len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static int compare_names(const void *a, const void *b)
{
    const struct name *x = a;
    const struct name *y = b;
    int order = compare_bytes(x, y);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

static void add_name(struct names *names, const struct nf_dirent *entry)
{
    if (names->n == names->cap) {
        names->cap = 2 * names->cap + 16;
        names->list =
            cli_realloc(names->list, names->cap * sizeof(*names->list));
    }
    struct name name = {cli_alloc(entry->name_len + 1), entry->name_len,
                        names->n, entry->stat.type == NF_TYPE_DIR};
    memcpy(name.p, entry->name, name.len);
    name.p[name.len] = '\0';
    names->list[names->n++] = name;
}

/* Sort, and keep of equal names what was found first, in the newest. */
static void unite_names(struct names *names)
{
    size_t kept = 0;
    if (names->n > 0) {
        qsort(names->list, names->n, sizeof(*names->list), compare_names);
    }
    for (size_t i = 0; i < names->n; i++) {
        if (kept > 0 &&
            compare_bytes(&names->list[kept - 1], &names->list[i]) == 0) {
            free(names->list[i].p);
        } else {
            names->list[kept++] = names->list[i];
        }
    }
    names->n = kept;
}

/* A listing broke off after the name last: take it up behind the damage. Names
 * are tried that are less and less like it. 1: entry is the next one. */
static int resume(struct nf_dir *dir, const struct name *last,
                  struct nf_dirent *entry)
{
    size_t len = last != NULL ? last->len : 0;
    char *guess = cli_alloc(len + 2);
    int res = NF_ENOENT;
    if (len > 0) {
        memcpy(guess, last->p, len);
    } else {
        guess[0] = '\0';
        len = 1;
    }
    for (size_t at = len; at > 0 && res < 0; at--) {
        guess[at] = '\xff';
        for (int c = (unsigned char)guess[at - 1]; c < 256 && res < 0; c++) {
            guess[at - 1] = (char)c;
            res = nf_dir_seek(dir, guess, at + 1);
            if (res == 0) {
                res = nf_dir_next(dir, entry);
            }
        }
    }
    free(guess);
    return res;
}

/* Add the names of a directory in one generation: whether that was all. */
static bool list_side(const struct side *side, struct nf_path path,
                      struct names *names)
{
    struct nf_dir *dir;
    struct nf_dirent entry;
    size_t first = names->n;
    bool whole = true;
    if (nf_dir_open(side->nf, path, &dir) < 0) {
        return false;
    }
    for (;;) {
        int res = nf_dir_next(dir, &entry);
        if (res < 0) {
            whole = false;
            res = resume(dir,
                         names->n > first ? &names->list[names->n - 1] : NULL,
                         &entry);
        }
        if (res <= 0) {
            break;
        }
        add_name(names, &entry);
    }
    nf_dir_close(dir);
    return whole;
}

/* ---- Directories ---------------------------------------------------- */

struct pending {
    char **paths; /* terminated, start with a slash; "" is the root */
    size_t *lens;
    size_t n;
    size_t cap;
};

static void push_path(struct pending *pending, char *path, size_t len)
{
    if (pending->n == pending->cap) {
        pending->cap = 2 * pending->cap + 16;
        pending->paths =
            cli_realloc(pending->paths, pending->cap * sizeof(*pending->paths));
        pending->lens =
            cli_realloc(pending->lens, pending->cap * sizeof(*pending->lens));
    }
    pending->paths[pending->n] = path;
    pending->lens[pending->n++] = len;
}

/* One entry: a file is copied, a directory made and put off. Takes path. */
static int salvage_entry(struct salvage *salvage, int top,
                         struct pending *pending, const struct name *name,
                         char *path, size_t len)
{
    struct nf_path on_disk = {path, len};
    struct nf_path segment = {name->p, name->len};
    int status = 0;
    if (!cli_is_host_name(segment)) {
        tell(salvage, on_disk, "lost: no name for a file here", 0, 0);
        salvage->lost++;
        free(path);
        return 0;
    }
    if (name->is_dir) {
        if (mkdirat(top, path + 1, 0777) < 0) {
            status = cli_fail_errno(salvage->cli, path);
            free(path);
            return status;
        }
        push_path(pending, path, len);
        return 0;
    }
    int fd =
        openat(top, path + 1, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int res = fd < 0 ? -1 : copy_best(salvage, on_disk, fd);
    if (res < 0) {
        status = cli_fail_errno(salvage->cli, path);
    } else if (res == 0) {
        salvage->lost++;
        tell(salvage, on_disk, "lost", 0, 0);
        (void)unlinkat(top, path + 1, 0); /* it is empty */
    }
    if (fd >= 0 && close(fd) < 0 && status == 0) {
        status = cli_fail_errno(salvage->cli, path);
    }
    free(path);
    return status;
}

static int salvage_directory(struct salvage *salvage, int top,
                             struct pending *pending, struct nf_path path)
{
    struct names names = {0};
    bool whole = false;
    int status = 0;
    for (size_t i = 0; i < salvage->n_sides && !whole; i++) {
        whole = list_side(&salvage->sides[i], path, &names);
        if (!whole && i == 0) {
            salvage->names_lost = true;
            tell(salvage, path, "names may be lost", 0, 0);
        }
    }
    unite_names(&names);
    for (size_t i = 0; i < names.n; i++) {
        const struct name *name = &names.list[i];
        size_t len = path.len + 1 + name->len;
        char *full = cli_alloc(len + 1);
        memcpy(full, path.p, path.len);
        full[path.len] = '/';
        memcpy(full + path.len + 1, name->p, name->len + 1);
        if (status == 0 && cli_interrupted()) {
            status = cli_stop(salvage->cli);
        }
        if (status == 0) {
            status = salvage_entry(salvage, top, pending, name, full, len);
        } else {
            free(full);
        }
        free(name->p);
    }
    free(names.list);
    return status;
}

static int salvage_all(struct salvage *salvage, int top)
{
    struct pending pending = {0};
    char *root = cli_alloc(1);
    int status = 0;
    root[0] = '\0';
    push_path(&pending, root, 0);
    while (pending.n > 0) {
        pending.n--;
        struct nf_path path = {pending.paths[pending.n],
                               pending.lens[pending.n]};
        if (status == 0) {
            status = salvage_directory(salvage, top, &pending, path);
        }
        free((void *)(uintptr_t)path.p);
    }
    free(pending.paths);
    free(pending.lens);
    return status;
}

/* ---- The verb ------------------------------------------------------- */

/* Mount all that mount; the newest one is there already. */
static void open_sides(struct salvage *salvage)
{
    struct cli *cli = salvage->cli;
    struct nf_generation list[MAX_GENERATIONS];
    struct nf_stats stats;
    nf_stats(cli->nf, &stats);
    salvage->sides[0].number = stats.generation;
    salvage->sides[0].nf = cli->nf;
    salvage->n_sides = 1;
    if (cli_has(cli, CLI_GENERATION)) {
        return;
    }
    int n = nf_generations(cli->nf, list, MAX_GENERATIONS);
    for (int i = 0; i < n; i++) {
        struct side *side = &salvage->sides[salvage->n_sides];
        const struct nf_mount_options options = {
            .flags = NF_MOUNT_READONLY | NF_MOUNT_NO_VERIFY,
            .generation = list[i].number,
            .codec = nf_codec_lz4(),
        };
        if (list[i].number < stats.generation &&
            salvage->n_sides < MAX_GENERATIONS &&
            nf_mount(bd_file_bd(cli->device), &cli->env, &options, &side->nf) ==
                0) {
            side->number = list[i].number;
            salvage->n_sides++;
        }
    }
}

static int open_empty(struct cli *cli, const char *path)
{
    if (mkdir(path, 0777) < 0 && errno != EEXIST) {
        (void)cli_fail_errno(cli, path);
        return -1;
    }
    /* Only an empty directory can be removed, and what was made anew has no
     * symbolic links in it. */
    if (rmdir(path) < 0 || mkdir(path, 0777) < 0) {
        (void)cli_fail_errno(cli, path);
        return -1;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        (void)cli_fail_errno(cli, path);
    }
    return fd;
}

static int report(struct salvage *salvage)
{
    struct cli *cli = salvage->cli;
    bool all = salvage->partial == 0 && salvage->lost == 0 &&
               salvage->older == 0 && !salvage->names_lost;
    int status = all ? 0 : CLI_EXIT_ERROR;
    if (salvage->items != NULL) {
        int printed = cli_print_json(
            cli, json_pack("{s:I, s:I, s:I, s:I, s:I, s:b, s:o}", "whole",
                           (json_int_t)salvage->whole, "older",
                           (json_int_t)salvage->older, "partial",
                           (json_int_t)salvage->partial, "lost",
                           (json_int_t)salvage->lost, "lost_bytes",
                           (json_int_t)salvage->lost_bytes, "names_lost",
                           (int)salvage->names_lost, "items",
                           json_incref(salvage->items)));
        return printed != 0 ? printed : status;
    }
    printf("Salvaged %" PRIu64 " files whole, %" PRIu64
           " from older generations, %" PRIu64 " in part (%" PRIu64
           " bytes lost); %" PRIu64 " lost\n",
           salvage->whole, salvage->older, salvage->partial,
           salvage->lost_bytes, salvage->lost);
    return status;
}

int cli_verb_salvage(struct cli *cli)
{
    int status = cli_probe(cli, CLI_READ);
    if (status != 0) {
        return status;
    }
    int res = cli_mount(cli, cli->options[CLI_GENERATION].number,
                        NF_MOUNT_READONLY | NF_MOUNT_NO_VERIFY);
    if (res < 0) {
        return cli_fail(cli, res, cli->options[CLI_DISK].text);
    }
    cli_signals_catch();
    int top = open_empty(cli, cli->operands[0]);
    if (top < 0) {
        return CLI_EXIT_ERROR;
    }
    struct salvage *salvage = cli_alloc(sizeof(*salvage));
    memset(salvage, 0, sizeof(*salvage));
    salvage->cli = cli;
    salvage->buf = cli_alloc(CLI_CHUNK);
    if (cli_has(cli, CLI_JSON)) {
        salvage->items = json_array();
    }
    cli_progress_start(cli);
    open_sides(salvage);
    status = salvage_all(salvage, top);
    cli_progress_end(cli);
    if (status == 0) {
        status = report(salvage);
    }
    for (size_t i = 1; i < salvage->n_sides; i++) {
        nf_unmount(salvage->sides[i].nf);
    }
    close(top);
    json_decref(salvage->items);
    free(salvage->buf);
    free(salvage);
    return status;
}
