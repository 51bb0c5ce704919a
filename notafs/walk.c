/* SPDX-License-Identifier: ISC */
/* Walks and scrubs: see walk.h. Data pages below one node are read in batches,
 * as many as fit into the walk's buffer. */
#include "notafs/walk.h"

/* ---- Reporting ------------------------------------------------------ */

/* The path of the directory being walked, from its end: it is found by its id,
 * which costs a look at the whole table for each of those above it, and is done
 * for damage only. */
static void find_dir(struct nf_walk *walk)
{
    struct nf *nf = walk->nf;
    char *path = walk->dir_path;
    size_t at = sizeof(walk->dir_path);
    uint64_t id = walk->dir;
    for (uint32_t level = 0; level < 64 && id != NF_ROOT_DIR; level++) {
        struct nf_rec rec;
        const char *name = "";
        size_t len = 0;
        uint64_t dir = 0;
        int got;
        while ((got = nf->format->table_scan(nf, dir, name, len, &dir, &name,
                                             &len, &rec)) == 1 &&
               (rec.type != NF_TYPE_DIR || rec.id != id)) {
        }
        if (got != 1 || len + 1 > at) {
            break;
        }
        at -= len;
        memcpy(path + at, name, len);
        path[--at] = '/';
        id = dir;
    }
    walk->path_dir = walk->dir;
    walk->dir_len = sizeof(walk->dir_path) - at;
    memmove(path, path + at, walk->dir_len);
}

/* The path of the file being walked, cut to fit; its length. */
static size_t path_of(struct nf_walk *walk, char *buf, size_t size)
{
    if (walk->path_dir != walk->dir) {
        find_dir(walk);
    }
    size_t at = walk->dir_len;
    size_t len = (size_t)nf_min_u64(walk->name_len, size - at - 1);
    memcpy(buf, walk->dir_path, at);
    buf[at++] = '/';
    memcpy(buf + at, walk->name, len);
    return at + len;
}

void nf_walk_damage(struct nf_walk *walk, int err, enum nf_page_kind kind,
                    uint64_t page, uint64_t offset, const char *what)
{
    char path[512];
    struct nf_finding f = {err, page, 1, kind, 0, "", 0, offset, what};
    _Static_assert(sizeof(path) > sizeof(walk->dir_path), "a name fits too");
    if (walk->phase == NF_WALK_FILES) {
        f.file = path;
        f.file_len = path_of(walk, path, sizeof(path));
        walk->result.damaged_files += !walk->file_damaged;
        walk->file_damaged = true;
    }
    walk->result.damaged++;
    if (walk->report != NULL) {
        walk->report(walk->ctx, &f);
    }
}

/* Whether page was met before; it is met now. */
static bool mark(struct nf_walk *walk, uint64_t page)
{
    uint8_t bit = (uint8_t)(1u << (page % 8));
    bool before = (walk->seen[page / 8] & bit) != 0;
    walk->seen[page / 8] |= bit;
    return before;
}

bool nf_walk_use(struct nf_walk *walk, enum nf_page_kind kind, uint64_t page,
                 uint64_t count, uint64_t birth, uint64_t offset)
{
    struct nf_finding f = {0, page, count, kind, birth, "", 0, offset, ""};
    bool first = true;
    if (page >= walk->n_seen || count > walk->n_seen - page) {
        nf_walk_damage(walk, NF_EC_PAGE_ID, kind, page, offset,
                       "page beyond the disk");
        return false;
    }
    for (uint64_t i = 0; walk->seen != NULL && i < count; i++) {
        if (mark(walk, page + i)) {
            first = false;
            nf_walk_damage(walk, NF_EC_DOUBLE_USE, kind, page + i, offset,
                           "page is used twice");
        }
    }
    walk->met += count;
    walk->table_pages += kind == NF_PAGE_TABLE ? count : 0;
    if (kind == NF_PAGE_FREE) {
        walk->free_pages += count;
    } else if (kind != NF_PAGE_UNUSED) {
        walk->result.pages_done += count;
    }
    if (walk->report != NULL) {
        walk->report(walk->ctx, &f);
    }
    return first;
}

/* ---- Trees ---------------------------------------------------------- */

void nf_walk_push(struct nf_walk *walk, const struct nf_ptr *root,
                  enum nf_kind kind, uint32_t height, enum nf_page_kind inner,
                  enum nf_page_kind leaf)
{
    struct nf_walk_node node = {*root,           0,    0, (uint8_t)kind,
                                (uint8_t)height, false};
    nf_assert(walk->depth == 0);
    walk->inner = inner;
    walk->leaf = leaf;
    if (!nf_ptr_is_null(root)) {
        walk->stack[walk->depth++] = node;
    }
}

/* Read and verify the n data pages of the batch. */
static void read_batch(struct nf_walk *walk, uint32_t n)
{
    struct nf *nf = walk->nf;
    size_t size = nf->disk.page_size;
    struct bd_request *reqs = nf->cache.direct;
    uint32_t n_reqs = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct bd_request *last = &reqs[n_reqs > 0 ? n_reqs - 1 : 0];
        uint64_t id = walk->batch[i].ptr.id;
        if (n_reqs > 0 && id == last->range.first + last->range.count) {
            last->range.count++;
        } else {
            struct bd_request req = {{id, 1}, walk->buf + i * size, NULL};
            reqs[n_reqs++] = req;
        }
    }
    int all = bd_submit(&nf->bd, reqs, n_reqs);
    for (uint32_t i = 0; i < n; i++) {
        const struct nf_walk_node *node = &walk->batch[i];
        uint8_t *page = walk->buf + i * size;
        int err = all == 0 ? 0 : bd_read(&nf->bd, node->ptr.id, 1, page);
        if (err != 0) {
            nf_walk_damage(walk, err, walk->leaf, node->ptr.id, node->offset,
                           "data page cannot be read");
        } else if (nf_page_sum(nf, page) != node->ptr.sum) {
            nf_walk_damage(walk, NF_EC_CHECKSUM, walk->leaf, node->ptr.id,
                           node->offset,
                           "data page does not match its checksum");
        }
    }
}

/* Note a data page, to be read with others; a batch that is full is read. */
static void visit_data(struct nf_walk *walk, const struct nf_walk_node *node,
                       uint32_t *n)
{
    bool first = nf_walk_use(walk, walk->leaf, node->ptr.id, 1, node->ptr.birth,
                             node->offset);
    if (first && (walk->flags & NF_SCRUB_NO_DATA) == 0) {
        walk->batch[(*n)++] = *node;
    }
}

/* Whether a page is read as a data page: those of the queue are parsed. */
static bool is_data(const struct nf_walk *walk, const struct nf_walk_node *node)
{
    return node->kind == NF_KIND_DATA && walk->phase == NF_WALK_FILES;
}

/* The first visit of a page that is not read as data. False: nothing below it
 * is to be visited, because it was before. */
static bool enter(struct nf_walk *walk, struct nf_walk_node *node,
                  const uint8_t *page)
{
    struct nf *nf = walk->nf;
    uint32_t count = nf->format->ptr_count(nf, (enum nf_kind)node->kind, page);
    node->entered = true;
    bool first = nf_walk_use(walk, count > 0 ? walk->inner : walk->leaf,
                             node->ptr.id, 1, node->ptr.birth, node->offset);
    if (first && count == 0 && walk->phase == NF_WALK_QUEUE) {
        walk->format->queue_leaf(nf, walk, node->offset, page);
    }
    return first;
}

/* Visit children of a page from node->next on: a batch of data pages, or one
 * page of pointers, which is pushed. Returns the pages visited. */
static uint32_t visit_children(struct nf_walk *walk, struct nf_walk_node *node,
                               const uint8_t *page)
{
    struct nf *nf = walk->nf;
    uint32_t count = nf->format->ptr_count(nf, (enum nf_kind)node->kind, page);
    uint32_t n = 0;
    while (node->next < count && n < walk->batch_max) {
        struct nf_walk_node child;
        if (!walk->format->child(walk, node, page, node->next, &child)) {
            node->next++;
        } else if (is_data(walk, &child)) {
            node->next++;
            visit_data(walk, &child, &n);
        } else if (n > 0) {
            break;
        } else {
            node->next++;
            if (walk->depth < NF_WALK_DEPTH) {
                walk->stack[walk->depth++] = child;
                return 0;
            }
            nf_walk_damage(walk, NF_EC_NODE, walk->inner, child.ptr.id,
                           child.offset, "tree is too high");
        }
    }
    if (n > 0) {
        read_batch(walk, n);
    }
    return n;
}

/* Go on at the top of the stack. */
static int step_tree(struct nf_walk *walk, uint64_t *budget)
{
    struct nf *nf = walk->nf;
    struct nf_walk_node *node = &walk->stack[walk->depth - 1];
    struct nf_frame *frame;
    uint64_t cost = 1;
    if (is_data(walk, node)) {
        uint32_t n = 0;
        visit_data(walk, node, &n);
        read_batch(walk, n);
        walk->depth--;
        *budget -= nf_min_u64(*budget, cost);
        return 0;
    }
    int err = nf_cache_get(nf, &node->ptr, (enum nf_kind)node->kind, &frame);
    if (err == NF_EC_CACHE_SMALL) {
        return err;
    }
    if (err == 0 && !walk->format->height_ok(node, frame->data)) {
        nf_cache_unpin(frame);
        err = nf_fail(nf, NF_EC_NODE, node->ptr.id, "height of a page");
    }
    if (err != 0) {
        nf_walk_use(walk, walk->inner, node->ptr.id, 1, node->ptr.birth,
                    node->offset);
        nf_walk_damage(walk, err, walk->inner, node->ptr.id, node->offset,
                       nf->error.what);
        walk->depth--;
        *budget -= nf_min_u64(*budget, cost);
        return 0;
    }
    if (!node->entered && !enter(walk, node, frame->data)) {
        nf_cache_unpin(frame);
        walk->depth--;
        *budget -= nf_min_u64(*budget, cost);
        return 0;
    }
    uint32_t depth = walk->depth;
    cost += visit_children(walk, node, frame->data);
    uint32_t count =
        nf->format->ptr_count(nf, (enum nf_kind)node->kind, frame->data);
    nf_cache_unpin(frame);
    if (walk->depth == depth && node->next >= count) {
        walk->depth--;
    }
    *budget -= nf_min_u64(*budget, cost);
    return 0;
}

/* ---- Phases --------------------------------------------------------- */

static void expect(struct nf_walk *walk, int err, uint64_t want, uint64_t got,
                   const char *what)
{
    if (want != got) {
        nf_walk_damage(walk, err, NF_PAGE_UNKNOWN, NF_NOWHERE, 0, what);
    }
}

/* The next file: 1, or 0. */
static int next_file(struct nf_walk *walk)
{
    struct nf *nf = walk->nf;
    struct nf_rec rec;
    const char *name;
    size_t len;
    uint64_t dir;
    int got = nf->format->table_scan(nf, walk->dir, walk->name, walk->name_len,
                                     &dir, &name, &len, &rec);
    if (got != 1) {
        return got;
    }
    if (len > walk->name_cap) {
        char *p = nf_realloc(&nf->mem, walk->name, walk->name_cap, len);
        if (p == NULL) {
            return NF_ENOMEM;
        }
        walk->name = p;
        walk->name_cap = len;
    }
    memcpy(walk->name, name, len);
    walk->name_len = len;
    walk->dir = dir;
    walk->file_damaged = false;
    if (rec.type == NF_TYPE_DIR) {
        walk->dirs++;
        return 1;
    }
    walk->files++;
    walk->format->file(nf, walk, &rec);
    return 1;
}

/* The next pages that nothing reaches, up to budget pages: 1, or 0. */
static int next_leak(struct nf_walk *walk, uint64_t *budget)
{
    while (walk->seen != NULL && walk->leak_at<walk->n_seen && * budget> 0) {
        uint64_t page = walk->leak_at++;
        *budget -= walk->leak_at % 64 == 0;
        if ((walk->seen[page / 8] & (1u << (page % 8))) == 0) {
            nf_walk_damage(walk, NF_EC_LEAK, NF_PAGE_UNKNOWN, page, 0,
                           "page is neither used nor free");
        }
    }
    return walk->seen != NULL && walk->leak_at < walk->n_seen;
}

static int next_phase(struct nf_walk *walk, uint64_t *budget)
{
    struct nf *nf = walk->nf;
    int got = 0;
    switch (walk->phase) {
    case NF_WALK_SYSTEM:
        walk->format->system(nf, walk);
        if (nf->space.free_start < nf->page_count) {
            nf_walk_use(walk, NF_PAGE_UNUSED, nf->space.free_start,
                        nf->page_count - nf->space.free_start, 0, 0);
        }
        walk->phase = NF_WALK_QUEUE;
        walk->format->queue(nf, walk);
        break;
    case NF_WALK_QUEUE:
        expect(walk, NF_EC_QUEUE, nf->space.queue_pages, walk->free_pages,
               "pages in the free queue are not as many as counted");
        walk->phase = NF_WALK_TABLE;
        walk->format->table(nf, walk);
        break;
    case NF_WALK_TABLE:
        if (nf->format->table_pages != NULL) {
            expect(walk, NF_EC_TABLE, nf->format->table_pages(nf),
                   walk->table_pages,
                   "pages of the file table are not as many as counted");
        }
        walk->phase = NF_WALK_FILES;
        break;
    case NF_WALK_FILES:
        got = next_file(walk);
        *budget -= 1;
        if (got == 0) {
            walk->phase = NF_WALK_LEAKS;
            expect(walk, NF_EC_TABLE, nf->counts.files, walk->files,
                   "files are not as many as counted");
            expect(walk, NF_EC_TABLE, nf->counts.dirs, walk->dirs,
                   "directories are not as many as counted");
        }
        break;
    case NF_WALK_LEAKS:
        got = next_leak(walk, budget);
        if (got == 0) {
            walk->phase = NF_WALK_DONE;
        }
        break;
    case NF_WALK_DONE:
        break;
    }
    return got < 0 ? got : 0;
}

/* Data pages to read together: enough to keep a device busy, within what the
 * embedder spends on the cache; a scrub's view has next to none of its own. */
static uint32_t batch_max(const struct nf *nf)
{
    const struct nf *payer = nf->writer != NULL ? nf->writer : nf;
    uint64_t n =
        nf_min_u64(payer->cache.n_frames / 8, NF_WALK_LEN / nf->disk.page_size);

    return n < NF_WALK_BATCH_MIN ? NF_WALK_BATCH_MIN
                                 : (uint32_t)nf_min_u64(n, NF_WALK_BATCH);
}

int nf_walk_open(struct nf_walk *walk, struct nf *nf, uint32_t flags,
                 void (*report)(void *ctx, const struct nf_finding *finding),
                 void *ctx)
{
    memset(walk, 0, sizeof(*walk));
    walk->nf = nf;
    walk->format = nf_walk_format(nf);
    walk->flags = flags;
    walk->report = report;
    walk->ctx = ctx;
    walk->name = NULL;
    walk->batch_max = batch_max(nf);
    walk->n_seen = nf->page_count;
    walk->result.pages_total = nf->page_count - nf_space_free_pages(nf);
    walk->buf = nf_alloc_aligned(
        &nf->mem, walk->batch_max * (size_t)nf->disk.page_size, 4096);
    bool account = (flags & NF_SCRUB_ACCOUNT) != 0;
    if (account) {
        walk->seen =
            nf_calloc(&nf->mem, (size_t)nf_div_up_u64(walk->n_seen, 8), 1);
    }
    if (walk->buf == NULL || (account && walk->seen == NULL)) {
        nf_walk_close(walk);
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "walk");
    }
    return 0;
}

void nf_walk_close(struct nf_walk *walk)
{
    struct nf *nf = walk->nf;
    nf_free(&nf->mem, walk->seen, (size_t)nf_div_up_u64(walk->n_seen, 8));
    nf_free(&nf->mem, walk->buf, walk->batch_max * (size_t)nf->disk.page_size);
    nf_free(&nf->mem, walk->name, walk->name_cap);
    walk->seen = NULL;
    walk->buf = NULL;
    walk->name = NULL;
}

int nf_walk_step(struct nf_walk *walk, uint64_t budget)
{
    while (budget > 0 && walk->phase != NF_WALK_DONE) {
        int err = walk->depth > 0 ? step_tree(walk, &budget)
                                  : next_phase(walk, &budget);
        if (err != 0) {
            return err;
        }
        if (walk->met / 2 > walk->n_seen) {
            /* It would not end in any useful time, perhaps never. */
            nf_walk_damage(walk, NF_EC_DOUBLE_USE, NF_PAGE_UNKNOWN, NF_NOWHERE,
                           0, "many more pages are used than the disk has");
            walk->depth = 0;
            walk->phase = NF_WALK_DONE;
        }
    }
    return walk->phase == NF_WALK_DONE ? 0 : 1;
}

/* ---- Verification at the mount -------------------------------------- */

static void keep_first(void *ctx, const struct nf_finding *finding)
{
    int *first = ctx;
    if (*first == 0) {
        *first = finding->err;
    }
}

int nf_verify(struct nf *nf)
{
    struct nf_walk *walk = nf_alloc(&nf->mem, sizeof(*walk));
    int first = 0;
    if (walk == NULL) {
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "walk");
    }
    int err = nf_walk_open(walk, nf, 0, keep_first, &first);
    if (err == 0) {
        do {
            err = nf_walk_step(walk, 64);
        } while (err == 1 && first == 0);
        nf_walk_close(walk);
    }
    nf_free(&nf->mem, walk, sizeof(*walk));
    return err < 0 ? err : first;
}
