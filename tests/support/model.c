/* SPDX-License-Identifier: ISC */
/* A list, searched from its start: hundreds of entries at most. */
#include "tests/support/model.h"

#include <stdlib.h>
#include <string.h>

#define ROOT UINT64_C(1)

static void *or_die(void *p)
{
    if (p == NULL) {
        fputs("model: out of memory\n", stderr);
        abort();
    }
    return p;
}

/* ---- Contents --------------------------------------------------------- */

struct model_bytes {
    size_t refs;
    size_t cap;
    uint8_t data[];
};

static void bytes_unref(struct model_bytes *bytes)
{
    if (bytes != NULL && --bytes->refs == 0) {
        free(bytes);
    }
}

/* The node's bytes, its own, with room for cap of them, those behind its size
 * zero. */
static uint8_t *bytes_own(struct model_node *node, size_t cap)
{
    struct model_bytes *old = node->bytes;
    if (old != NULL && old->refs == 1 && old->cap >= cap) {
        return old->data;
    }
    cap = cap + cap / 2;
    struct model_bytes *own = or_die(calloc(1, sizeof(*own) + cap));
    own->refs = 1;
    own->cap = cap;
    if (old != NULL) {
        memcpy(own->data, old->data, node->size);
    }
    bytes_unref(old);
    node->bytes = own;
    return own->data;
}

const uint8_t *model_data(const struct model_node *node)
{
    return node->bytes == NULL ? (const uint8_t *)"" : node->bytes->data;
}

void model_write(struct model_node *file, size_t off, const void *buf,
                 size_t len)
{
    if (len == 0) {
        return;
    }
    const size_t end = off + len;
    const size_t size = end > file->size ? end : file->size;
    memcpy(bytes_own(file, size) + off, buf, len);
    file->size = size;
}

void model_truncate(struct model_node *file, size_t size)
{
    if (size < file->size) {
        memset(bytes_own(file, file->size) + size, 0, file->size - size);
    } else {
        (void)bytes_own(file, size);
    }
    file->size = size;
}

void model_punch(struct model_node *file, size_t off, size_t len)
{
    if (off < file->size && len > 0) {
        const size_t left = file->size - off;
        memset(bytes_own(file, file->size) + off, 0, len < left ? len : left);
    }
}

/* ---- Entries ---------------------------------------------------------- */

static struct model_node *node_add(struct model *m, uint64_t dir,
                                   const char *name, size_t len,
                                   enum nf_type type)
{
    if (m->n == m->cap) {
        m->cap = 2 * m->cap + 16;
        m->nodes = or_die(realloc(m->nodes, m->cap * sizeof(*m->nodes)));
    }
    struct model_node *node = &m->nodes[m->n++];
    *node = (struct model_node){.id = m->next_id++,
                                .dir = dir,
                                .name = or_die(malloc(len)),
                                .name_len = len,
                                .type = type};
    memcpy(node->name, name, len);
    return node;
}

static void node_del(struct model *m, struct model_node *node)
{
    bytes_unref(node->bytes);
    free(node->name);
    *node = m->nodes[--m->n];
}

static struct model_node *node_in(const struct model *m, uint64_t dir,
                                  const char *name, size_t len)
{
    for (size_t i = 0; i < m->n; i++) {
        struct model_node *node = &m->nodes[i];
        if (node->dir == dir && node->name_len == len &&
            memcmp(node->name, name, len) == 0) {
            return node;
        }
    }
    return NULL;
}

static struct model_node *node_by_id(const struct model *m, uint64_t id)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->nodes[i].id == id) {
            return &m->nodes[i];
        }
    }
    return NULL;
}

static bool is_empty(const struct model *m, uint64_t dir)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->nodes[i].dir == dir) {
            return false;
        }
    }
    return true;
}

void model_init(struct model *m, uint32_t max_name_bytes)
{
    *m = (struct model){.next_id = ROOT + 1, .max_name_bytes = max_name_bytes};
}

void model_deinit(struct model *m)
{
    while (m->n > 0) {
        node_del(m, &m->nodes[m->n - 1]);
    }
    free(m->nodes);
    m->nodes = NULL;
    m->cap = 0;
}

void model_copy(struct model *to, const struct model *from)
{
    model_deinit(to);
    for (size_t i = 0; i < from->n; i++) {
        const struct model_node *node = &from->nodes[i];
        struct model_node *copy =
            node_add(to, node->dir, node->name, node->name_len, node->type);
        copy->id = node->id;
        copy->size = node->size;
        copy->bytes = node->bytes;
        if (copy->bytes != NULL) {
            copy->bytes->refs++;
        }
    }
    /* An id is never used twice, after an abort either. */
    to->next_id = from->next_id > to->next_id ? from->next_id : to->next_id;
    to->max_name_bytes = from->max_name_bytes;
}

/* ---- Paths ------------------------------------------------------------ */

static size_t next_segment(struct nf_path *path, const char **ret)
{
    while (path->len > 0 && path->p[0] == '/') {
        path->p++;
        path->len--;
    }
    const char *slash = memchr(path->p, '/', path->len);
    const size_t len = slash == NULL ? path->len : (size_t)(slash - path->p);
    *ret = path->p;
    path->p += len;
    path->len -= len;
    return len;
}

struct place {
    uint64_t dir;
    const char *name;
    size_t len; /* 0: the root directory itself */
};

/* Where path leads. avoid: the way must not go through that directory. make:
 * directories that miss on the way are made. */
static int resolve(struct model *m, struct nf_path path, uint64_t avoid,
                   bool make, struct place *ret)
{
    struct nf_path rest = path;
    struct place place = {.dir = ROOT};
    while (rest.len > 0) {
        if (next_segment(&rest, &place.name) > m->max_name_bytes) {
            return NF_ENAMETOOLONG;
        }
    }
    rest = path;
    place.len = next_segment(&rest, &place.name);
    for (;;) {
        struct place next;
        if (place.dir == avoid) {
            return NF_EINVAL;
        }
        next.len = next_segment(&rest, &next.name);
        if (next.len == 0) {
            *ret = place;
            return 0;
        }
        struct model_node *node = node_in(m, place.dir, place.name, place.len);
        if (node == NULL && make) {
            node = node_add(m, place.dir, place.name, place.len, NF_TYPE_DIR);
        }
        if (node == NULL) {
            return NF_ENOENT;
        }
        if (node->type != NF_TYPE_DIR) {
            return NF_ENOTDIR;
        }
        next.dir = node->id;
        place = next;
    }
}

/* The entry at a place; NULL: the root. */
static int look(const struct model *m, const struct place *place,
                struct model_node **ret)
{
    *ret = NULL;
    if (place->len == 0) {
        return 0;
    }
    *ret = node_in(m, place->dir, place->name, place->len);
    return *ret == NULL ? NF_ENOENT : 0;
}

int model_find(const struct model *m, struct nf_path path,
               struct model_node **ret)
{
    struct place place;
    /* Without make it changes nothing. */
    const int err = resolve((struct model *)m, path, 0, false, &place);
    return err == 0 ? look(m, &place, ret) : err;
}

struct model_node *model_file(const struct model *m, uint64_t id)
{
    return node_by_id(m, id);
}

/* ---- Operations ------------------------------------------------------- */

int model_open(struct model *m, struct nf_path path, uint32_t flags,
               uint64_t *ret_id)
{
    struct model_node *node;
    struct place place;
    int err = model_find(m, path, &node);
    if (err == 0 && (node == NULL || node->type == NF_TYPE_DIR)) {
        return NF_EISDIR;
    }
    if (err == 0 && (flags & NF_OPEN_EXCLUSIVE) != 0) {
        return NF_EEXIST;
    }
    if (err == NF_ENOENT && (flags & NF_OPEN_CREATE) != 0) {
        err = resolve(m, path, 0, true, &place);
        if (err == 0) {
            node = node_add(m, place.dir, place.name, place.len, NF_TYPE_FILE);
        }
    } else if (err == 0 && (flags & NF_OPEN_TRUNCATE) != 0) {
        model_truncate(node, 0);
    }
    if (err == 0) {
        *ret_id = node->id;
    }
    return err;
}

int model_mkdir(struct model *m, struct nf_path path)
{
    struct model_node *node;
    struct place place;
    int err = model_find(m, path, &node);
    if (err == 0) {
        return node == NULL || node->type == NF_TYPE_DIR ? 0 : NF_EEXIST;
    }
    if (err == NF_ENOENT) {
        err = resolve(m, path, 0, true, &place);
    }
    if (err == 0) {
        (void)node_add(m, place.dir, place.name, place.len, NF_TYPE_DIR);
    }
    return err;
}

static void remove_below(struct model *m, uint64_t dir)
{
    for (size_t i = 0; i < m->n;) {
        const struct model_node node = m->nodes[i];
        if (node.dir != dir) {
            i++;
            continue;
        }
        node_del(m, &m->nodes[i]);
        if (node.type == NF_TYPE_DIR) {
            remove_below(m, node.id);
            i = 0; /* others moved */
        }
    }
}

int model_remove(struct model *m, struct nf_path path, uint32_t flags)
{
    struct model_node *node;
    const int err = model_find(m, path, &node);
    if (err != 0) {
        return err;
    }
    if (node == NULL) {
        return NF_EINVAL;
    }
    const uint64_t id = node->id;
    if (node->type == NF_TYPE_DIR && (flags & NF_REMOVE_RECURSIVE) == 0 &&
        !is_empty(m, id)) {
        return NF_ENOTEMPTY;
    }
    node_del(m, node);
    remove_below(m, id);
    return 0;
}

int model_rename(struct model *m, struct nf_path from, struct nf_path to,
                 uint32_t flags)
{
    struct model_node *node;
    struct model_node *old;
    struct place place;
    int err = model_find(m, from, &node);
    if (err == 0 && node == NULL) {
        err = NF_EINVAL;
    }
    if (err != 0) {
        return err;
    }
    const uint64_t id = node->id;
    const uint64_t avoid = node->type == NF_TYPE_DIR ? id : 0;
    err = resolve(m, to, avoid, false, &place);
    if (err == 0) {
        err = look(m, &place, &old);
    }
    if (err == 0) {
        if (old == NULL) {
            return NF_EINVAL;
        }
        if (old == node) {
            return 0;
        }
        if ((flags & NF_RENAME_NOREPLACE) != 0) {
            return NF_EEXIST;
        }
        if (old->type != node->type) {
            return node->type == NF_TYPE_FILE ? NF_EISDIR : NF_ENOTDIR;
        }
        if (!is_empty(m, old->id)) {
            return NF_ENOTEMPTY;
        }
        node_del(m, old);
    } else if (err == NF_ENOENT) {
        err = resolve(m, to, avoid, true, &place);
    }
    if (err != 0) {
        return err;
    }
    node = node_by_id(m, id); /* the list has moved */
    free(node->name);
    node->dir = place.dir;
    node->name = or_die(malloc(place.len));
    node->name_len = place.len;
    memcpy(node->name, place.name, place.len);
    return 0;
}

char *model_path(const struct model *m, const struct model_node *node,
                 size_t *ret_len)
{
    char *path = NULL;
    size_t len = 0;
    while (node != NULL) {
        path = or_die(realloc(path, len + node->name_len + 1));
        memmove(path + node->name_len + 1, path, len);
        path[0] = '/';
        memcpy(path + 1, node->name, node->name_len);
        len += node->name_len + 1;
        node = node_by_id(m, node->dir);
    }
    *ret_len = len;
    return path;
}

/* ---- Comparing -------------------------------------------------------- */

struct check {
    const struct model *m;
    struct nf *nf;
    FILE *why;
};

static bool differs(const struct check *check, const struct model_node *node,
                    const char *what, int err)
{
    if (check->why != NULL) {
        size_t len = 0;
        char *path = model_path(check->m, node, &len);
        fprintf(check->why, "'%.*s': %s (%s)\n", (int)len,
                path == NULL ? "" : path, what, nf_errname(err));
        free(path);
    }
    return false;
}

static bool file_matches(const struct check *check,
                         const struct model_node *node)
{
    static uint8_t buf[70000];
    char what[80];
    struct nf_file *file;
    struct nf_stat st;
    size_t len = 0;
    char *path = model_path(check->m, node, &len);
    int err = nf_open(check->nf, (struct nf_path){path, len}, 0, &file);
    free(path);
    if (err != 0) {
        return differs(check, node, "cannot be opened", err);
    }
    err = nf_fstat(file, &st);
    bool same = err == 0 && st.size == node->size;
    if (!same) {
        (void)differs(check, node, "has another size", err);
    }
    for (size_t off = 0; same && off < node->size; off += len) {
        err = nf_read(file, off, buf, sizeof(buf), &len);
        if (err != 0 || len == 0) {
            same = differs(check, node, "cannot be read", err);
        }
        for (size_t i = 0; same && i < len; i++) {
            if (buf[i] != model_data(node)[off + i]) {
                (void)snprintf(what, sizeof(what),
                               "has %02x at %zu of %zu, not %02x", buf[i],
                               off + i, node->size, model_data(node)[off + i]);
                same = differs(check, node, what, 0);
            }
        }
    }
    nf_close(file);
    return same;
}

static int by_name(const void *va, const void *vb)
{
    const struct model_node *a = *(const struct model_node *const *)va;
    const struct model_node *b = *(const struct model_node *const *)vb;
    const size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
    const int c = memcmp(a->name, b->name, len);
    return c != 0 ? c
                  : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

/* The entries of a directory (NULL: the root) in order. */
static bool dir_matches(const struct check *check,
                        const struct model_node *node,
                        struct model_node *const *children, size_t n)
{
    struct nf_dir *dir;
    struct nf_dirent ent;
    size_t len = 0;
    char *path = model_path(check->m, node, &len);
    int err = nf_dir_open(check->nf, (struct nf_path){path, len}, &dir);
    free(path);
    if (err != 0) {
        return differs(check, node, "cannot be opened", err);
    }
    bool same = true;
    for (size_t i = 0; same && i < n; i++) {
        const struct model_node *child = children[i];
        err = nf_dir_next(dir, &ent);
        same = err == 1 && ent.name_len == child->name_len &&
               memcmp(ent.name, child->name, ent.name_len) == 0 &&
               ent.stat.type == child->type && ent.stat.size == child->size;
        if (!same) {
            (void)differs(check, child, "is missing from the listing", err);
        }
    }
    if (same) {
        err = nf_dir_next(dir, &ent);
        same = err == 0 || differs(check, node, "has too many entries", err);
    }
    nf_dir_close(dir);
    return same;
}

static bool below_matches(const struct check *check,
                          const struct model_node *node)
{
    const struct model *m = check->m;
    const uint64_t dir = node == NULL ? ROOT : node->id;
    struct model_node **children = or_die(calloc(m->n + 1, sizeof(void *)));
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (m->nodes[i].dir == dir) {
            children[n++] = &m->nodes[i];
        }
    }
    qsort(children, n, sizeof(*children), by_name);
    bool same = dir_matches(check, node, children, n);
    for (size_t i = 0; same && i < n; i++) {
        same = children[i]->type == NF_TYPE_DIR
                   ? below_matches(check, children[i])
                   : file_matches(check, children[i]);
    }
    free(children);
    return same;
}

bool model_matches(const struct model *m, struct nf *nf, FILE *why)
{
    const struct check check = {m, nf, why};
    struct nf_stats stats;
    uint64_t files = 0;
    for (size_t i = 0; i < m->n; i++) {
        files += m->nodes[i].type == NF_TYPE_FILE;
    }
    nf_stats(nf, &stats);
    if (stats.files != files || stats.dirs != m->n - files) {
        if (why != NULL) {
            fprintf(why, "%llu files and %llu directories, not %llu and %llu\n",
                    (unsigned long long)stats.files,
                    (unsigned long long)stats.dirs, (unsigned long long)files,
                    (unsigned long long)(m->n - files));
        }
        return false;
    }
    return below_matches(&check, NULL);
}
