/* SPDX-License-Identifier: ISC */
/*
 * Opening what the command line names, and telling what went wrong. A store is
 * a folder, or a directory of an image: IMAGE or IMAGE:NAME. The configuration
 * that `init` was given is in the file notapack.config, which irmin does not
 * look at.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <notafs/codec_lz4.h>
#include <notafs/hash_gcrypt.h>
#include <notafs/host.h>
#include <notafs/notafs.h>
#include <notafs/vfs_notafs.h>
#include <notafs/vfs_posix.h>

#include "cli/notapack.h"

static const char config_name[] = "notapack.config";

/* What may be done about an error; NULL: no idea. */
static const char *hint(int err)
{
    switch (err) {
    case NF_EC_LAYOUT:
        return "'notapack -s STORE init' makes one";
    case NF_EC_NOT_FORMATTED:
        return "'notafs format -d IMAGE' makes a disk of it";
    case NF_EC_STORE_LOCKED:
        return "wait for the other program, or end it; reading is possible";
    case NF_EC_IMAGE_LOCKED:
        return "wait for the other program, or end it: beside one that writes "
               "an image cannot be read";
    case NF_EC_CONTROL:
    case NF_EC_CONTROL_SUM:
    case NF_EC_INDEX:
    case NF_EC_BRANCHES:
        return "'notapack -s STORE repair' makes it anew from the other files";
    case NF_EC_HASH:
    case NF_EC_ENTRY:
    case NF_EC_INODE:
        return "'notapack -s STORE check' lists all that is damaged; if that "
               "is everything, look at --config";
    case NF_EC_CONFIG:
        return "--config takes auto, a name or key=value,...; see man "
               "notapack";
    case NF_EC_NO_BRANCH:
        return "'notapack -s STORE branch' lists them; -b names another";
    case NF_EC_AMBIGUOUS:
        return "give more digits";
    case NF_EC_NO_LOWER:
        return "name it with --lower DIR";
    case NF_EC_MIGRATION:
        return "any command that writes does it, but not to a lower layer "
               "once a store was split or collected: 'notapack replay' then";
    case NF_EC_STRATEGY:
        return "see --strategy in man notapack";
    case NF_EC_GC_FORBIDDEN:
        return "'notapack replay' writes a copy that can be collected";
    default:
        return NULL;
    }
}

int np_complain_info(const char *what, int err,
                     const struct nf_error_info *info)
{
    if (np_interrupted() != 0) {
        fprintf(stderr, "notapack: %s: interrupted\n", what);
        return NP_FAILED;
    }
    fprintf(stderr, "notapack: %s: %s", what, nf_strerror(err));
    if (info != NULL && info->err == err) {
        if (info->file[0] != '\0') {
            fprintf(stderr, ": %s", info->file);
        }
        if (info->offset != NF_NOWHERE) {
            fprintf(stderr, " at %llu", (unsigned long long)info->offset);
        }
        if (info->expected != NF_NOWHERE) {
            fprintf(stderr, ", expected %llu, found %llu",
                    (unsigned long long)info->expected,
                    (unsigned long long)info->found);
        }
        if (info->what != NULL && info->what[0] != '\0') {
            fprintf(stderr, " (%s)", info->what);
        }
    }
    putc('\n', stderr);
    if (hint(err) != NULL) {
        fprintf(stderr, "hint: %s\n", hint(err));
    }
    return NP_FAILED;
}

int np_complain(const struct np_store *store, int err, const char *what)
{
    return np_complain_info(
        what, err, store->repo == NULL ? NULL : pk_repo_error(store->repo));
}

/* -------------------------------------------------------------- back ends */

char *np_image_path(const char *text, struct nf_path *ret_root)
{
    char *path = strdup(text);
    struct stat st;
    char *colon =
        path != NULL && stat(path, &st) != 0 ? strrchr(path, ':') : NULL;

    *ret_root = (struct nf_path){"", 0};
    if (colon != NULL) {
        *colon = '\0';
        *ret_root = (struct nf_path){colon + 1, strlen(colon + 1)};
    }
    return path;
}

static bool same_image(const char *a, const char *b)
{
    struct nf_path root;
    char *path_a = np_image_path(a, &root);
    char *path_b = np_image_path(b, &root);
    struct stat st_a;
    struct stat st_b;
    bool same = path_a != NULL && path_b != NULL && stat(path_a, &st_a) == 0 &&
                stat(path_b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
                st_a.st_ino == st_b.st_ino;

    free(path_a);
    free(path_b);
    return same;
}

/* A folder of the disk that is open. */
static int open_on_disk(struct np_store *store, const char *text,
                        struct pk_vfs_notafs **ret, struct pk_vfs *ret_vfs)
{
    struct nf_path root;
    char *path = np_image_path(text, &root);
    int err = path == NULL ? NF_ENOMEM
                           : pk_vfs_notafs_open(store->disk, &store->env, root,
                                                ret, ret_vfs);

    free(path);
    return err;
}

static int open_image(struct np_store *store, const char *text, bool write)
{
    struct bd_file_options options = {.page_size = 512, .readonly = !write};
    struct nf_mount_options mount = {.cache_bytes = 16u << 20};
    struct nf_disk info;
    struct nf_path root;
    char *path = np_image_path(text, &root);
    int err;

    if (path == NULL) {
        return np_complain_info(text, NF_ENOMEM, NULL);
    }
    mount.flags = write ? 0u : (uint32_t)NF_MOUNT_READONLY;
    mount.codec = nf_codec_lz4();
    err = bd_file_open(path, &options, &store->device);
    if (err == 0) {
        err = nf_probe(bd_file_bd(store->device), &store->env, &info);
    }
    if (err == 0) {
        err = bd_file_set_page_size(store->device, info.page_size);
    }
    if (err == 0) {
        err = nf_mount(bd_file_bd(store->device), &store->env, &mount,
                       &store->disk);
    }
    free(path);
    return err;
}

static bool is_image(const char *text)
{
    const char *colon = strrchr(text, ':');
    struct stat st;

    if (stat(text, &st) == 0) {
        return !S_ISDIR(st.st_mode);
    }
    if (colon != NULL) {
        char *path = strndup(text, (size_t)(colon - text));
        bool image =
            path != NULL && stat(path, &st) == 0 && !S_ISDIR(st.st_mode);

        free(path);
        return image;
    }
    return false;
}

bool np_same_image(const struct np_options *a, const struct np_options *b)
{
    return a->store != NULL && b->store != NULL && is_image(a->store) &&
           is_image(b->store) && same_image(a->store, b->store);
}

/* A lower layer on the image that the store is on. */
static int open_lower_image(struct np_store *store, const char *text)
{
    int err;

    if (store->disk == NULL || !same_image(text, store->options->store)) {
        fprintf(stderr,
                "notapack: %s: neither a folder nor on the image of the "
                "store\n",
                text);
        return NP_FAILED;
    }
    err = open_on_disk(store, text, &store->lower_on_disk, &store->lower_vfs);
    return err == 0 ? 0 : np_complain_info(text, err, NULL);
}

static int open_vfs(struct np_store *store, uint32_t flags)
{
    const struct np_options *o = store->options;
    uint32_t posix_flags =
        (flags & PK_OPEN_CREATE) != 0 ? PK_VFS_POSIX_CREATE : 0u;
    int err;

    if (is_image(o->store)) {
        if (o->beside != NULL && np_same_image(o, o->beside->options)) {
            store->disk = o->beside->disk;
            err = 0;
        } else {
            err = open_image(store, o->store,
                             o->shares || (flags & PK_OPEN_WRITE) != 0);
        }
        if (err == 0) {
            err = open_on_disk(store, o->store, &store->on_disk, &store->vfs);
        }
        if (err != 0) {
            err = np_complain_info(o->store, err, NULL);
        }
    } else {
        err = pk_vfs_posix_open(o->store, posix_flags, &store->posix,
                                &store->vfs);
        if (err != 0) {
            err = np_complain_info(o->store,
                                   err == NF_ENOENT ? NF_EC_LAYOUT : err, NULL);
        }
    }
    if (err == 0 && o->lower != NULL && is_image(o->lower)) {
        return open_lower_image(store, o->lower);
    }
    if (err == 0 && o->lower != NULL) {
        err = pk_vfs_posix_open(o->lower, posix_flags, &store->lower_posix,
                                &store->lower_vfs);
        if (err != 0) {
            err = np_complain_info(o->lower, err, NULL);
        }
    }
    return err;
}

static void close_vfs(struct np_store *store)
{
    pk_vfs_posix_close(store->lower_posix);
    pk_vfs_posix_close(store->posix);
    pk_vfs_notafs_close(store->lower_on_disk);
    pk_vfs_notafs_close(store->on_disk);
    if (store->device != NULL) { /* otherwise it is another's disk */
        nf_unmount(store->disk);
    }
    bd_file_close(store->device);
    store->lower_posix = NULL;
    store->lower_on_disk = NULL;
    store->posix = NULL;
    store->on_disk = NULL;
    store->disk = NULL;
    store->device = NULL;
}

/* ---------------------------------------------------------- configuration */

/* What `init` has set down; false: nothing. */
static bool config_recorded(struct np_store *store, struct pk_config *ret)
{
    char text[256];
    size_t len = 0;
    void *file;

    if (store->vfs.ops->open(store->vfs.ctx, config_name, 0, &file) != 0) {
        return false;
    }
    if (store->vfs.ops->read(store->vfs.ctx, file, 0, (uint8_t *)text,
                             sizeof(text) - 1, &len) != 0) {
        len = 0;
    }
    (void)store->vfs.ops->close(store->vfs.ctx, file); /* only read */
    text[len] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return len > 0 && pk_config_parse(text, ret) == 0;
}

int np_config_record(struct np_store *store)
{
    const struct pk_vfs *vfs = &store->vfs;
    char text[256];
    size_t len;
    void *file;
    int close_err;
    int err;

    pk_config_print(&store->config, text, sizeof(text) - 1);
    len = strlen(text);
    text[len++] = '\n';
    err = vfs->ops->open(vfs->ctx, config_name,
                         PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE, &file);
    if (err != 0) {
        return err;
    }
    err = vfs->ops->write(vfs->ctx, file, 0, (const uint8_t *)text, len);
    close_err = vfs->ops->close(vfs->ctx, file);
    err = err == 0 ? close_err : err;
    return err == 0 ? vfs->ops->commit(vfs->ctx) : err;
}

/* ------------------------------------------------------------ open, close */

int np_options_open(struct np_store *store, const struct np_options *options,
                    uint32_t flags, struct pk_open *ret)
{
    bool detect =
        options->config == NULL || strcmp(options->config, "auto") == 0;
    struct pk_open opts = {0};
    int err;

    memset(store, 0, sizeof(*store));
    store->options = options;
    np_meter_env(store);
    if (options->store == NULL) {
        fprintf(stderr, "notapack: no store given: -s STORE\n"
                        "hint: a folder, or an image of notafs: IMAGE or "
                        "IMAGE:NAME\n");
        return NP_USAGE;
    }
    err = open_vfs(store, flags);
    if (err != 0) {
        close_vfs(store);
        return err;
    }
    opts.vfs = &store->vfs;
    opts.lower = options->lower != NULL ? &store->lower_vfs : NULL;
    opts.hashes = pk_hash_gcrypt();
    opts.strategy = options->strategy;
    opts.flags = flags;
    store->config_sure = true;
    if (!detect) {
        err = pk_config_parse(options->config, &opts.config);
    } else if (!config_recorded(store, &opts.config)) {
        err = pk_config_detect(&store->env, &opts, &opts.config,
                               &store->config_sure);
        if (err == NF_EC_LAYOUT && (flags & PK_OPEN_CREATE) != 0) {
            err = pk_config_parse("irmin", &opts.config);
        }
    }
    if (err != 0) {
        err = np_complain_info(detect ? options->store : options->config, err,
                               NULL);
        close_vfs(store);
        return err;
    }
    if (!store->config_sure && (flags & PK_OPEN_WRITE) != 0 &&
        !options->quiet) {
        char text[256];

        pk_config_print(&opts.config, text, sizeof(text));
        fprintf(stderr,
                "notapack: %s: configuration %s is a guess, others fit as "
                "well; say --config\n",
                options->store, text);
    }
    store->config = opts.config;
    *ret = opts;
    return 0;
}

int np_store_open(struct np_store *store, const struct np_options *options,
                  uint32_t flags)
{
    struct nf_error_info info = {0};
    struct pk_open opts;
    int err = np_options_open(store, options, flags, &opts);

    if (err != 0) {
        return err;
    }
    err = pk_repo_open(&store->env, &opts, &info, &store->repo);
    if (err != 0) {
        err = np_complain_info(options->store, err, &info);
        close_vfs(store);
    }
    return err;
}

int np_store_close(struct np_store *store)
{
    int err = pk_repo_close(store->repo);

    store->repo = NULL;
    close_vfs(store);
    return err == 0 ? 0 : np_complain_info(store->options->store, err, NULL);
}
