/* SPDX-License-Identifier: ISC */
/*
 * mount: the store as a file system, until it is unmounted. The process forks
 * before it opens anything, so that locks and threads are the daemon's.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/notapack.h"

#ifdef NOTAFS_FUSE
#include "fuse/store.h"

static int complain_errno(const char *what)
{
    fprintf(stderr, "notapack: %s: %s\n", what, strerror(errno));
    return NP_FAILED;
}

static int parse_options(const struct np_options *options,
                         struct mount_options *ret)
{
    options_init(ret);
    ret->posix = options->posix;
    if (options->with == NULL) {
        return 0;
    }
    char *text = strdup(options->with);
    if (text == NULL) {
        return complain_errno("-o");
    }
    const char *bad = options_parse(ret, text);
    if (bad != NULL) {
        fprintf(stderr, "notapack: -o: '%s'?\n", bad);
    }
    free(text);
    return bad == NULL ? 0 : NP_USAGE;
}

static int set_text(char **field, const char *text)
{
    if (text != NULL && *field == NULL) {
        *field = strdup(text);
    }
    return text == NULL || *field != NULL ? 0 : complain_errno("options");
}

/* Where the store lies, as it shows in /proc/mounts. */
static const char *full_name(const char *store, char buf[PATH_MAX])
{
    return realpath(store, buf) != NULL ? buf : store;
}

/* What is read from while another thread commits: a folder can be opened twice,
 * of a disk there are views. */
struct reader {
    struct np_store store;
    struct pk_open open;
    struct pk_vfs vfs;
    struct pk_vfs lower_vfs;
    struct vfs_view *view;
    struct vfs_view *lower_view;
};

static int open_view(const char *text, struct nf *disk, struct vfs_view **ret,
                     struct pk_vfs *ret_vfs)
{
    struct nf_path root;
    char *path = np_image_path(text, &root);
    int err =
        path != NULL ? vfs_view_open(disk, root, ret, ret_vfs) : NF_ENOMEM;
    free(path);
    return err == 0 ? 0 : np_complain_info(text, err, NULL);
}

static int open_views(struct reader *reader, struct np_store *writer,
                      const struct pk_open *write)
{
    const struct np_options *options = writer->options;
    reader->open = *write;
    reader->open.flags &= ~(uint32_t)PK_OPEN_WRITE;
    reader->open.vfs = &reader->vfs;
    int err =
        open_view(options->store, writer->disk, &reader->view, &reader->vfs);
    if (err == 0 && writer->lower_on_disk != NULL) {
        err = open_view(options->lower, writer->disk, &reader->lower_view,
                        &reader->lower_vfs);
        reader->open.lower = &reader->lower_vfs;
    }
    return err;
}

static int serve(const struct np_options *options,
                 const struct mount_options *with, struct daemon *daemon,
                 const char *dir)
{
    char source[PATH_MAX];
    struct np_store writer;
    struct reader reader = {0};
    struct pk_open write;
    uint32_t flags = with->readonly ? 0u : (uint32_t)PK_OPEN_WRITE;
    int err = np_options_open(&writer, options, flags, &write);
    if (err != 0) {
        return err;
    }
    bool on_disk = writer.device != NULL;
    bool same = on_disk && with->readonly;
    if (!same) {
        err = on_disk
                  ? open_views(&reader, &writer, &write)
                  : np_options_open(&reader.store, options, 0, &reader.open);
    }
    const struct store_mount how = {
        .env = &writer.env,
        .read = same ? &write : &reader.open,
        .write = &write,
        .view = reader.view,
        .lower_view = reader.lower_view,
        .source = full_name(options->store, source),
        .dir = dir,
        .branch = options->branch != NULL ? options->branch : "main",
        .options = with,
        .daemon = daemon,
    };
    if (err == 0) {
        err = store_serve(&how) == 0 ? NP_OK : NP_FAILED;
        if (!on_disk) {
            (void)np_store_close(&reader.store); /* has no repo */
        }
    }
    vfs_view_close(reader.lower_view);
    vfs_view_close(reader.view);
    (void)np_store_close(&writer);
    return err;
}

int np_mount(const struct np_options *options, int n_words, char **words)
{
    struct np_options own = *options;
    struct mount_options with;
    struct daemon daemon;
    char config[64];
    char dir[PATH_MAX];
    struct stat st;
    if (n_words == 3) {
        own.store = words[1];
    }
    const char *operand = words[n_words - 1];
    int err = parse_options(options, &with);
    if (err == 0 && (realpath(operand, dir) == NULL ||
                     (stat(dir, &st) != 0 && errno != ENOTCONN))) {
        err = complain_errno(operand);
    }
    if (err == 0) {
        err = set_text(&with.author, options->author);
    }
    if (err == 0) {
        err = set_text(&with.message, options->message);
    }
    if (err == 0 && with.config != NULL) {
        /* Commas separate options, so here they are colons. */
        snprintf(config, sizeof(config), "%s", with.config);
        for (char *p = config; *p != '\0'; p++) {
            *p = *p == ':' ? ',' : *p;
        }
        own.config = config;
    }
    if (err == 0 && own.store == NULL) {
        fprintf(stderr, "notapack: no store given: -s STORE\n");
        err = NP_USAGE;
    }
    if (err == 0 && daemon_begin(&daemon, options->foreground) != 0) {
        err = complain_errno("background");
    }
    if (err == 0) {
        err = serve(&own, &with, &daemon, dir);
    }
    options_deinit(&with);
    return err;
}

#else

int np_mount(const struct np_options *options, int n_words, char **words)
{
    (void)options;
    (void)n_words;
    (void)words;
    fprintf(stderr, "notapack: this program was built without libfuse\n");
    return NP_FAILED;
}

#endif
