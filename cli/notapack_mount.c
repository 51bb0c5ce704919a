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

static int serve(const struct np_options *options,
                 const struct mount_options *with, struct daemon *daemon,
                 const char *dir)
{
    char source[PATH_MAX];
    struct np_store writer;
    struct np_store reader;
    struct pk_open write;
    struct pk_open read;
    uint32_t flags = with->readonly ? 0u : (uint32_t)PK_OPEN_WRITE;
    int err = np_options_open(&writer, options, flags, &write);
    if (err != 0) {
        return err;
    }
    /* A folder can be opened twice, a disk cannot. */
    bool shared = writer.device != NULL;
    if (!shared) {
        err = np_options_open(&reader, options, 0, &read);
    }
    const struct store_mount how = {
        .env = &writer.env,
        .read = shared ? &write : &read,
        .write = &write,
        .source = full_name(options->store, source),
        .dir = dir,
        .branch = options->branch != NULL ? options->branch : "main",
        .options = with,
        .daemon = daemon,
    };
    if (err == 0) {
        err = store_serve(&how) == 0 ? NP_OK : NP_FAILED;
        if (!shared) {
            (void)np_store_close(&reader); /* has no repo */
        }
    }
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
