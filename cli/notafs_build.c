/* SPDX-License-Identifier: ISC */
/*
 * build: an image that holds a store with one commit, and whose bytes depend on
 * nothing but names and contents: the same everywhere and at any time.
 *
 * The store is made in memory and is on the disk in one transaction. The disk's
 * uid comes from the root hash, so that what an older image has left on a
 * device is never taken for a part of this one. Times are SOURCE_DATE_EPOCH's,
 * or 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include <notafs/pack.h>

#include "cli/notafs_cli.h"

struct build {
    struct cli *cli;
    const char *from;
    struct pk_vfs_mem *mem;
    struct pk_vfs vfs;
    struct pk_repo *repo;
    struct pk_tree *tree;
    struct pk_digest root;
    struct pk_digest commit;
    uint64_t files;
    uint64_t bytes;
    uint64_t skipped;
};

/* ---- What goes in ----------------------------------------------------- */

static void skip(struct build *b, const char *name, const char *why)
{
    cli_left_out(b->cli, nf_path(name != NULL ? name : "?"), why);
    b->skipped++;
}

/* The steps of a name, without "." and empty ones; their number, 0 for none,
 * -1 for a name that leads elsewhere. steps has room for strlen(name). */
static int split(const char *name, struct pk_slice *steps)
{
    int n = 0;
    while (*name != '\0') {
        size_t len = strcspn(name, "/");
        if (len == 2 && memcmp(name, "..", 2) == 0) {
            return -1;
        }
        if (len > 0 && !(len == 1 && *name == '.')) {
            steps[n++] = (struct pk_slice){(const uint8_t *)name, len};
        }
        name += len;
        name += *name == '/';
    }
    return n;
}

static int fail_archive(struct build *b, struct archive *archive)
{
    const char *why = archive_error_string(archive);
    return cli_fail_text(b->cli, "%s: %s", b->from,
                         why != NULL ? why : "cannot be read");
}

/* All of an entry's data in memory of our own. */
static int read_data(struct build *b, struct archive *archive, uint8_t **ret,
                     size_t *ret_len)
{
    uint8_t *data = cli_alloc(1);
    size_t cap = 1;
    size_t len = 0;
    la_ssize_t n = 1;
    while (n > 0) {
        if (len == cap) {
            cap = 2 * cap + CLI_CHUNK / 16;
            data = cli_realloc(data, cap);
        }
        n = archive_read_data(archive, data + len, cap - len);
        len += n > 0 ? (size_t)n : 0;
        if (cli_interrupted()) {
            free(data);
            return cli_stop(b->cli);
        }
    }
    if (n < 0) {
        free(data);
        return fail_archive(b, archive);
    }
    *ret = data;
    *ret_len = len;
    return 0;
}

static int add_file(struct build *b, struct archive *archive, const char *name)
{
    struct pk_slice *steps = cli_alloc((strlen(name) + 1) * sizeof(*steps));
    int n = split(name, steps);
    uint8_t *data = NULL;
    size_t len = 0;
    int status = 0;
    if (n <= 0) {
        skip(b, name, "a name that leads elsewhere");
    } else {
        status = read_data(b, archive, &data, &len);
    }
    if (n > 0 && status == 0) {
        int err = pk_tree_set(b->tree, (struct pk_path){steps, (size_t)n},
                              (struct pk_slice){data, len});
        status = err < 0 ? cli_fail(b->cli, err, name) : 0;
        b->files++;
        b->bytes += len;
    }
    free(data);
    free(steps);
    return status;
}

static int add_entry(struct build *b, struct archive *archive,
                     struct archive_entry *entry, size_t base_len)
{
    const char *name = archive_entry_pathname(entry);
    if (name == NULL || strlen(name) < base_len) {
        skip(b, name, "a name that cannot be read");
        return 0;
    }
    name += base_len;
    if (archive_entry_hardlink(entry) != NULL) {
        skip(b, name, "a hard link");
        return 0;
    }
    switch (archive_entry_filetype(entry)) {
    case AE_IFDIR:
        return 0; /* a tree has directories where it has files */
    case AE_IFREG:
        return add_file(b, archive, name);
    default:
        skip(b, name, "no plain file");
        return 0;
    }
}

/* A directory is read as if it were an archive: one way for both. */
static int add_all(struct build *b)
{
    struct stat st;
    bool is_dir = stat(b->from, &st) == 0 && S_ISDIR(st.st_mode);
    struct archive *archive =
        is_dir ? archive_read_disk_new() : archive_read_new();
    struct archive_entry *entry = archive_entry_new();
    int got;
    if (archive == NULL || entry == NULL) {
        abort();
    }
    if (is_dir) {
        got = archive_read_disk_open(archive, b->from);
    } else {
        archive_read_support_filter_all(archive);
        archive_read_support_format_tar(archive);
        archive_read_support_format_empty(archive);
        bool is_stdin = strcmp(b->from, "-") == 0;
        got = archive_read_open_filename(archive, is_stdin ? NULL : b->from,
                                         CLI_CHUNK / 16);
    }
    int status = got == ARCHIVE_OK ? 0 : fail_archive(b, archive);
    while (status == 0) {
        got = archive_read_next_header2(archive, entry);
        if (got == ARCHIVE_EOF) {
            break;
        }
        if (got < ARCHIVE_WARN) {
            status = fail_archive(b, archive);
            break;
        }
        status = add_entry(b, archive, entry, is_dir ? strlen(b->from) : 0);
        if (status == 0 && is_dir) {
            (void)archive_read_disk_descend(archive); /* where there is one */
        }
        cli_progress(b->cli, "build: %" PRIu64 " files", b->files);
    }
    archive_entry_free(entry);
    archive_read_free(archive);
    return status;
}

/* ---- The store, in memory --------------------------------------------- */

static struct nf_time build_time(void *ctx)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    (void)ctx;
    return (struct nf_time){
        .sec = epoch != NULL ? (int64_t)strtoll(epoch, NULL, 10) : 0,
    };
}

static struct pk_slice slice(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

static int store_open(struct build *b)
{
    struct pk_open opts = {
        .vfs = &b->vfs,
        .strategy = PK_STRATEGY_MINIMAL,
        .flags = PK_OPEN_WRITE | PK_OPEN_CREATE,
    };
    int err = pk_config_parse("irmin", &opts.config);
    if (err == 0) {
        err = pk_vfs_mem_open(&b->cli->env, &b->mem, &b->vfs);
    }
    if (err == 0) {
        err = pk_repo_open(&b->cli->env, &opts, NULL, &b->repo);
    }
    if (err == 0) {
        err = pk_tree_empty(b->repo, &b->tree);
    }
    return err < 0 ? cli_fail(b->cli, err, b->from) : 0;
}

static int store_commit(struct build *b)
{
    const struct pk_info info = {build_time(NULL).sec, slice("notafs"),
                                 slice("build")};
    int err = pk_commit_make(b->tree, NULL, 0, &info, &b->commit);
    if (err == 0) {
        err = pk_branch_set(b->repo, slice("main"), &b->commit);
    }
    pk_tree_free(b->tree);
    b->tree = NULL;
    int close_err = pk_repo_close(b->repo);
    b->repo = NULL;
    err = err == 0 ? close_err : err;
    return err < 0 ? cli_fail(b->cli, err, b->from) : 0;
}

static void hash_text(const struct pk_digest *hash,
                      char ret[2 * PK_HASH_MAX_LEN + 1])
{
    for (size_t i = 0; i < PK_HASH_MAX_LEN; i++) {
        snprintf(ret + 2 * i, 3, "%02x", hash->b[i]);
    }
}

/* The tree's hash, and whether it is the one that was expected. */
static int find_root(struct build *b)
{
    const char *expected = b->cli->options[CLI_EXPECT_ROOT].text;
    char text[2 * PK_HASH_MAX_LEN + 1];
    int err = pk_tree_hash(b->tree, &b->root);
    if (err < 0) {
        return cli_fail(b->cli, err, b->from);
    }
    hash_text(&b->root, text);
    if (expected != NULL && strcasecmp(expected, text) != 0) {
        return cli_fail_text(b->cli, "%s: the root hash is %s, not %s", b->from,
                             text, expected);
    }
    return 0;
}

/* ---- From memory to the disk ------------------------------------------ */

struct copying {
    struct build *b;
    const char *folder;
};

static int copy_file(void *arg, const char *step, uint64_t len)
{
    const struct copying *c = arg;
    const struct pk_vfs *vfs = &c->b->vfs;
    struct nf *nf = c->b->cli->nf;
    uint8_t *buf = cli_alloc(CLI_CHUNK);
    char name[PK_VFS_NAME_MAX + 1];
    struct nf_file *file = NULL;
    void *from = NULL;
    snprintf(name, sizeof(name), "%s%s", c->folder, step);
    int err = vfs->ops->open(vfs->ctx, name, 0, &from);
    if (err == 0) {
        err = nf_open(nf, nf_path(name), NF_OPEN_CREATE, &file);
    }
    for (uint64_t at = 0; at < len && err == 0;) {
        size_t n = 0;
        err = vfs->ops->read(vfs->ctx, from, at, buf, CLI_CHUNK, &n);
        if (err == 0) {
            err = nf_append(file, buf, n);
        }
        at += n;
        if (cli_interrupted()) {
            err = NF_ECANCELED;
        }
    }
    nf_close(file);
    if (from != NULL) {
        (void)vfs->ops->close(vfs->ctx, from); /* only read */
    }
    free(buf);
    return err;
}

static int write_disk(struct build *b, const char *path)
{
    struct nf_format_options format = {0};
    struct cli *cli = b->cli;
    uint32_t page_size;
    int status = cli_format_options(cli, &format, &page_size);
    cli->options[CLI_DISK].text = path;
    if (status == 0) {
        status = cli_device_open(cli, page_size, CLI_WRITE);
    }
    if (status != 0) {
        return status;
    }
    memcpy(&format.uid, b->root.b, sizeof(format.uid));
    format.uid |= 1; /* 0 would ask for another */
    cli->env.now = build_time;
    int err = nf_format(bd_file_bd(cli->device), &cli->env, &format);
    if (err == 0) {
        err = cli_mount(cli, 0, 0);
    }
    static const char *const folders[] = {"", "index/"};
    for (int i = 0; i < 2 && err == 0; i++) {
        struct copying copying = {b, folders[i]};
        const char *dir = i == 0 ? "" : "index";
        err = b->vfs.ops->list(b->vfs.ctx, dir, copy_file, &copying);
    }
    if (err == 0) {
        err = nf_sync(cli->nf);
    }
    if (err == NF_ECANCELED && cli_interrupted()) {
        return cli_stop(cli);
    }
    return err < 0 ? cli_fail(cli, err, cli->options[CLI_OUT].text) : 0;
}

/* The image under another name until it is whole. */
static int write_image(struct build *b)
{
    struct cli *cli = b->cli;
    const char *out = cli->options[CLI_OUT].text;
    size_t len = strlen(out) + sizeof(".part");
    char *part = cli_alloc(len);
    snprintf(part, len, "%s.part", out);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int status = 0;
    if (fd < 0 || ftruncate(fd, (off_t)cli->options[CLI_SIZE].number) < 0) {
        status = cli_fail_errno(cli, part);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (status == 0) {
        status = write_disk(b, part);
        cli_close(cli);
    }
    if (status == 0 && rename(part, out) < 0) {
        status = cli_fail_errno(cli, out);
    }
    if (status != 0 && fd >= 0) {
        (void)unlink(part); /* what failed before is told */
    }
    free(part);
    return status;
}

/* ---- The verb --------------------------------------------------------- */

static int print_result(struct build *b)
{
    char root[2 * PK_HASH_MAX_LEN + 1];
    char commit[2 * PK_HASH_MAX_LEN + 1];
    hash_text(&b->root, root);
    hash_text(&b->commit, commit);
    if (cli_has(b->cli, CLI_JSON)) {
        return cli_print_json(b->cli, json_pack("{s:s,s:s,s:I,s:I,s:I}", "root",
                                                root, "commit", commit, "files",
                                                (json_int_t)b->files, "bytes",
                                                (json_int_t)b->bytes, "skipped",
                                                (json_int_t)b->skipped));
    }
    printf("root %s\ncommit %s\n%" PRIu64 " files, %" PRIu64 " bytes\n", root,
           commit, b->files, b->bytes);
    return 0;
}

int cli_verb_build(struct cli *cli)
{
    struct build b = {.cli = cli, .from = cli->options[CLI_FROM].text};
    if (b.from == NULL || !cli_has(cli, CLI_OUT) || !cli_has(cli, CLI_SIZE)) {
        return cli_fail_usage(cli, "--from, --size and --out are needed");
    }
    if (cli->options[CLI_SIZE].number > INT64_MAX) {
        return cli_fail_usage(cli, "--size is too large");
    }
    cli_signals_catch();
    int status = store_open(&b);
    if (status == 0) {
        cli_progress_start(cli);
        status = add_all(&b);
        cli_progress_end(cli);
    }
    if (status == 0) {
        status = find_root(&b);
    }
    if (status == 0) {
        status = store_commit(&b);
    }
    if (status == 0) {
        status = write_image(&b);
    }
    pk_tree_free(b.tree);
    (void)pk_repo_close(b.repo); /* in memory */
    pk_vfs_mem_close(b.mem);
    return status == 0 ? print_result(&b) : status;
}
