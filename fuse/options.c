/* SPDX-License-Identifier: ISC */
#include "fuse/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMIT_SEC 5 /* as ext4 has it */

/* For libfuse, which passes on what is the kernel's. */
static const char *const kernel_words[] = {
    "allow_other", "allow_root", "default_permissions",
    "suid",        "nosuid",     "dev",
    "nodev",       "exec",       "noexec",
    "sync",        "async",      "dirsync",
    "atime",       "noatime",    NULL,
};
/* For mount(8) alone. */
static const char *const ignored_words[] = {
    "auto",    "noauto",   "user", "nouser",   "users",       "nofail",
    "_netdev", "defaults", "rw",   "relatime", "strictatime", NULL,
};

void options_init(struct mount_options *options)
{
    memset(options, 0, sizeof(*options));
    options->commit_sec = COMMIT_SEC;
    options->uid = getuid();
    options->gid = getgid();
    options->umask = 022;
}

void options_deinit(struct mount_options *options)
{
    free(options->author);
    free(options->message);
    free(options->config);
}

static bool is_in(const char *word, const char *const *list)
{
    while (*list != NULL && strcmp(*list, word) != 0) {
        list++;
    }
    return *list != NULL;
}

/* The text behind "key=", or NULL. */
static const char *value_of(const char *item, const char *key)
{
    size_t len = strlen(key);
    return strncmp(item, key, len) == 0 && item[len] == '=' ? item + len + 1
                                                            : NULL;
}

static bool parse_number(const char *text, int base, uint64_t max,
                         uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, base);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 ||
        value > max) {
        return false;
    }
    *ret = value;
    return true;
}

static bool set_text(char **field, const char *value)
{
    free(*field);
    *field = strdup(value);
    return *field != NULL;
}

static bool take_value(struct mount_options *o, const char *item)
{
    const char *value;
    uint64_t n;
    if ((value = value_of(item, "commit")) != NULL) {
        return parse_number(value, 10, 86400, &n) &&
               ((o->commit_sec = (uint32_t)n), true);
    }
    if ((value = value_of(item, "generation")) != NULL) {
        return parse_number(value, 10, UINT64_MAX, &o->generation);
    }
    if ((value = value_of(item, "uid")) != NULL) {
        return parse_number(value, 10, UINT32_MAX - 1, &n) &&
               ((o->uid = (uid_t)n), true);
    }
    if ((value = value_of(item, "gid")) != NULL) {
        return parse_number(value, 10, UINT32_MAX - 1, &n) &&
               ((o->gid = (gid_t)n), true);
    }
    if ((value = value_of(item, "umask")) != NULL) {
        return parse_number(value, 8, 0777, &n) &&
               ((o->umask = (mode_t)n), true);
    }
    if ((value = value_of(item, "author")) != NULL) {
        return set_text(&o->author, value);
    }
    if ((value = value_of(item, "message")) != NULL) {
        return set_text(&o->message, value);
    }
    if ((value = value_of(item, "config")) != NULL) {
        return set_text(&o->config, value);
    }
    return strncmp(item, "x-", 2) == 0 || value_of(item, "comment") != NULL;
}

static bool take_item(struct mount_options *o, const char *item)
{
    if (strcmp(item, "ro") == 0) {
        o->readonly = true;
        return true;
    }
    if (strcmp(item, "posix") == 0) {
        o->posix = true;
        return true;
    }
    if (is_in(item, kernel_words)) {
        size_t len = strlen(o->kernel);
        if (len + strlen(item) + 2 > sizeof(o->kernel)) {
            return false;
        }
        snprintf(o->kernel + len, sizeof(o->kernel) - len, ",%s", item);
        return true;
    }
    return is_in(item, ignored_words) || take_value(o, item);
}

const char *options_parse(struct mount_options *options, char *text)
{
    char *rest = text;
    char *item;
    while ((item = strsep(&rest, ",")) != NULL) {
        if (*item != '\0' && !take_item(options, item)) {
            return item;
        }
    }
    return NULL;
}
