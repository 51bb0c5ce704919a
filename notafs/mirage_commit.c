/* SPDX-License-Identifier: ISC */
/*
 * Mounts and commits of the mirage profile.
 *
 * A root page is overwritten when the one in use has no slot left or must not
 * be used any more, and never the one in use. Nothing tells a stale root page
 * from a good one but its first generation, so a generation number that was
 * ever seen on the disk is not given again: after a generation was refused, or
 * a commit failed, the next one begins a new root page above all of them.
 */
#include "notafs/mirage_int.h"

/* ---- Mount ---------------------------------------------------------- */

/* Space as a generation leaves it, without what came since. */
static void space_reset(struct nf *nf, const struct mirage_leaf *leaf)
{
    struct nf_space *space = &nf->space;
    space->free_start = leaf->free_start;
    space->bump_at_begin = leaf->free_start;
    space->pushed = space->hist[0];
    space->n_tail = 0;
    space->spilling = false;
    space->n_recycle = 0;
    space->recycle_pages = 0;
}

/* Load a generation, and verify all that it reaches if asked to. */
static int load(struct nf *nf, const struct mirage_leaf *leaf, bool verify)
{
    struct nf_mirage *m = nf->mirage;
    m->leaf = *leaf;
    nf->generation = leaf->generation;
    nf->free_recorded = (int64_t)leaf->free_count;
    memset(nf->space.hist, 0, sizeof(nf->space.hist));
    space_reset(nf, leaf);
    int err = nf_mirage_queue_load(nf, &leaf->queue, leaf->free_start);
    if (err == 0) {
        err = nf_mirage_table_load(nf, &leaf->table);
    }
    if (err == 0 && verify) {
        err = nf->verify(nf);
    }
    if (err != 0) {
        nf_cache_drop(nf);
        return err;
    }
    m->queue_pages = nf->space.queue_pages;
    m->committed_table = m->table;
    nf_mirage_names_commit(nf);
    return 0;
}

/* The newest of n leaves that is whole, or the one of that number. */
static int choose(struct nf *nf, const struct mirage_leaf *leaves, int n,
                  uint64_t generation)
{
    bool verify = (nf->flags & NF_MOUNT_VERIFY) != 0 ||
                  (generation == 0 && (nf->flags & NF_MOUNT_NO_VERIFY) == 0);
    struct nf_error_info first;
    memset(&first, 0, sizeof(first));
    for (int i = 0; i < n; i++) {
        if (generation != 0 && leaves[i].generation != generation) {
            continue;
        }
        int err = load(nf, &leaves[i], verify);
        if (err == 0) {
            return 0;
        }
        if (nf_err_class(err) != NF_ECORRUPT && err != NF_EIO) {
            return err;
        }
        nf_trace(nf->mem.env, NF_EV_FALLBACK, leaves[i].generation,
                 leaves[i].page, (uint64_t)-err);
        first = first.err == 0 ? nf->error : first;
    }
    if (generation != 0) {
        return first.err != 0
                   ? first.err
                   : nf_fail(nf, NF_EC_BAD_GEN, NF_NOWHERE, "generation");
    }
    int err = nf_fail(nf, NF_EC_NO_GENERATION, NF_NOWHERE, "root pages");
    if (first.err != 0) {
        nf->error = first; /* what is wrong with the newest one */
    }
    return err;
}

static int open_disk(struct nf *nf, uint64_t generation)
{
    struct mirage_leaf *leaves =
        nf_calloc(&nf->mem, MIRAGE_LEAVES, sizeof(*leaves));
    if (leaves == NULL) {
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "mount");
    }
    int err = nf_mirage_roots_read(nf);
    int n = err == 0 ? nf_mirage_leaves_read(nf, leaves) : err;
    nf->seen = n > 0 ? leaves[0].generation : 0;
    err = n < 0 ? n : choose(nf, leaves, n, generation);
    nf_free(&nf->mem, leaves, MIRAGE_LEAVES * sizeof(*leaves));
    return err;
}

int nf_mirage_open(struct nf *nf, uint64_t generation)
{
    if (nf->bd.geo.page_count != nf->disk.page_count) {
        return nf_fail_value(nf, NF_EC_DISK_SIZE, NF_NOWHERE, "pages",
                             nf->disk.page_count, nf->bd.geo.page_count);
    }
    nf->first_page = MIRAGE_FIRST_PAGE;
    nf->mirage = nf_calloc(&nf->mem, 1, sizeof(*nf->mirage));
    if (nf->mirage == NULL) {
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "mount");
    }
    bool ok = nf_mirage_geo_init(&nf->mirage->geo, nf->disk.page_count,
                                 nf->disk.page_size, nf->disk.checksum);
    nf_assert(ok);
    int err = 0;
    nf->mirage->buf = nf_alloc_aligned(&nf->mem, nf->disk.page_size, 4096);
    if (nf->mirage->buf == NULL) {
        err = nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "mount");
    }
    if (err == 0) {
        err = open_disk(nf, generation);
    }
    /* Pages of the generation before this one may be free: one commit makes
     * the newest two equal before anything is changed. */
    nf->settled = false;
    if (err != 0) {
        nf_mirage_close(nf);
    }
    return err;
}

void nf_mirage_close(struct nf *nf)
{
    if (nf->mirage != NULL) {
        nf_mirage_names_clear(nf);
        nf_free(&nf->mem, nf->mirage->buf, nf->disk.page_size);
        nf_free(&nf->mem, nf->mirage, sizeof(*nf->mirage));
        nf->mirage = NULL;
    }
}

/* ---- Commit --------------------------------------------------------- */

/* How much a root page wants to be overwritten: most of all one that is newer
 * than the one in use, whose generations were all refused; then a damaged one,
 * which keeps OCaml Notafs from opening the disk; then the oldest. */
static uint64_t urgency(const struct mirage_root *root, uint64_t in_use)
{
    const uint64_t damaged = (uint64_t)INT64_MAX + 1;
    if (!root->good) {
        return damaged;
    }
    return root->first > in_use ? damaged + root->first
                                : (uint64_t)INT64_MAX - root->first;
}

/* Let the next leaf be the first of a new root page. */
static int new_root(struct nf *nf)
{
    struct nf_mirage *m = nf->mirage;
    uint64_t in_use = m->roots[m->leaf.root].first;
    uint64_t first = nf_max_u64(nf->seen, nf->generation) + 1;
    uint32_t best = (m->leaf.root + 1) % MIRAGE_ROOTS;
    for (uint32_t i = 0; i < MIRAGE_ROOTS; i++) {
        if (i != m->leaf.root &&
            urgency(&m->roots[i], in_use) > urgency(&m->roots[best], in_use)) {
            best = i;
        }
    }
    /* Others that are newer stay, and are to be older than this one. */
    for (uint32_t i = 0; i < MIRAGE_ROOTS; i++) {
        const struct mirage_root *root = &m->roots[i];
        if (i != m->leaf.root && i != best && root->n_slots > 0) {
            first = nf_max_u64(first, root->first + root->n_slots);
        }
    }
    m->next_leaf.root = best;
    m->next_leaf.slot = 0;
    m->next_root.good = true;
    m->next_root.first = first;
    m->next_root.n_slots = MIRAGE_SLOTS;
    for (uint32_t i = 0; i < MIRAGE_SLOTS; i++) {
        int err = nf_space_alloc(nf, &m->next_root.slots[i]);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

/* Choose where the next generation's leaf goes, and free those before it. */
static int next_slot(struct nf *nf)
{
    struct nf_mirage *m = nf->mirage;
    const struct mirage_root *root = &m->roots[m->leaf.root];
    uint32_t end = m->leaf.slot + 1;
    m->next_root = *root;
    m->next_leaf.root = m->leaf.root;
    m->next_leaf.slot = end;
    m->rolls = end == root->n_slots || nf->seen > nf->generation;
    if (m->rolls) {
        end = root->n_slots;
    }
    for (uint32_t i = m->leaf.slot; i < end; i++) {
        int err = nf_space_free(nf, root->slots[i], 0);
        if (err != 0) {
            return err;
        }
    }
    return m->rolls ? new_root(nf) : 0;
}

/* Write over damaged root pages and a damaged header what they would hold on a
 * disk that was just formatted. */
static int repair(struct nf *nf)
{
    struct nf_mirage *m = nf->mirage;
    const struct mirage_root unused = {true, 0, 0, {0}};
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < MIRAGE_ROOTS; i++) {
        if (!m->roots[i].good && i != m->next_leaf.root) {
            nf_mirage_root_put(&m->geo, &unused, m->buf);
            err = bd_write(&nf->bd, i + 1, 1, m->buf);
        }
    }
    if (err == 0 && nf->disk.header_damaged) {
        nf_mirage_header_put(&nf->disk, &m->geo, m->buf);
        err = bd_write(&nf->bd, 0, 1, m->buf);
    }
    return err == 0 ? 0 : nf_fail(nf, err, NF_NOWHERE, "damaged root page");
}

/* What lies in the slots of a new root page might be leaves of another time. */
static int clear_slots(struct nf *nf)
{
    struct nf_mirage *m = nf->mirage;
    struct bd_request reqs[MIRAGE_SLOTS];
    memset(m->buf, 0, nf->disk.page_size);
    for (uint32_t i = 0; i < MIRAGE_SLOTS; i++) {
        struct bd_request req = {{m->next_root.slots[i], 1}, NULL, m->buf};
        reqs[i] = req;
    }
    int err = bd_submit(&nf->bd, reqs, MIRAGE_SLOTS);
    return err == 0 ? 0
                    : nf_fail(nf, err, reqs[0].range.first, "generation slots");
}

/*
 * The order of a commit: all pages that the generation needs and that are not
 * in the way of the last one, a flush; then its leaf, and the root page that
 * names the leaf if that is new, in any order: without either of the two the
 * last generation stands; a flush.
 */
static int write_generation(struct nf *nf)
{
    struct nf_mirage *m = nf->mirage;
    const struct bd_request reqs[2] = {
        {{m->next_leaf.page, 1}, NULL, nf->scratch},
        {{m->next_leaf.root + 1, 1}, NULL, m->buf},
    };
    int err = repair(nf);
    if (err == 0 && m->rolls) {
        err = clear_slots(nf);
    }
    if (err == 0) {
        err = nf_cache_write(nf, 0, NULL);
    }
    if (err == 0) {
        err = bd_flush(&nf->bd);
    }
    if (err != 0) {
        return err;
    }
    nf_mirage_leaf_put(&m->geo, nf->disk.uid, &m->next_leaf, nf->scratch);
    nf_mirage_root_put(&m->geo, &m->next_root, m->buf);
    m->writing = true;
    err = bd_submit(&nf->bd, reqs, m->rolls ? 2 : 1);
    if (err == 0) {
        err = bd_flush(&nf->bd);
    }
    return err == 0 ? 0 : nf_fail(nf, err, m->next_leaf.page, "generation");
}

/* The next generation is the committed one. */
static void finish(struct nf *nf)
{
    struct nf_mirage *m = nf->mirage;
    for (uint32_t i = 0; i < MIRAGE_ROOTS; i++) {
        m->roots[i].good = true;
    }
    nf->disk.header_damaged = false;
    m->roots[m->next_leaf.root] = m->next_root;
    m->leaf = m->next_leaf;
    m->writing = false;
    m->queue_pages = nf->space.queue_pages;
    m->committed_table = m->table;
    nf->free_recorded = (int64_t)m->leaf.free_count;
    nf_mirage_names_commit(nf);
}

int nf_mirage_publish(struct nf *nf)
{
    struct nf_mirage *m = nf->mirage;
    struct mirage_leaf *next = &m->next_leaf;
    memset(next, 0, sizeof(*next));
    int err = next_slot(nf);
    if (err == 0) {
        err = nf_space_flush(nf, 0);
    }
    if (err != 0) {
        return err;
    }
    nf_cache_seal(nf);
    next->page = m->next_root.slots[next->slot];
    next->generation = m->next_root.first + next->slot;
    next->free_start = nf->space.free_start;
    next->free_count = nf_space_free_pages(nf);
    next->queue = m->queue.root;
    next->table = m->table.root;
    err = write_generation(nf);
    if (err == 0) {
        finish(nf);
        nf->generation = next->generation - 1; /* the caller counts this one */
    }
    return err;
}

/* ---- Abort ---------------------------------------------------------- */

/* Whether the generation whose commit failed is on the disk after all. */
static int has_landed(struct nf *nf, bool *ret)
{
    struct nf_mirage *m = nf->mirage;
    struct mirage_root root = m->next_root;
    struct mirage_leaf leaf;
    *ret = false;
    if (m->rolls) {
        int err = bd_read(&nf->bd, m->next_leaf.root + 1, 1, nf->scratch);
        if (err != 0) {
            return nf_fail(nf, err, m->next_leaf.root + 1, "root page");
        }
        memset(&root, 0, sizeof(root));
        (void)nf_mirage_root_get(&m->geo, nf->page_count, nf->scratch, &root);
        m->roots[m->next_leaf.root] = root;
    }
    if (root.n_slots == 0 || root.first != m->next_root.first) {
        return 0;
    }
    int err =
        nf_mirage_slot_read(nf, m->next_leaf.root, m->next_leaf.slot, &leaf);
    *ret = err == 0 && leaf.generation == m->next_leaf.generation;
    return err;
}

int nf_mirage_reload(struct nf *nf)
{
    struct nf_mirage *m = nf->mirage;
    bool landed = false;
    int err = m->writing ? has_landed(nf, &landed) : 0;
    if (err != 0) {
        return err;
    }
    if (landed) {
        finish(nf);
        nf->generation = m->leaf.generation;
        nf->seen = nf_max_u64(nf->seen, nf->generation);
        nf_space_committed(nf);
        nf_inodes_drop(nf);
    } else if (m->writing) {
        nf->seen = nf_max_u64(nf->seen, m->next_leaf.generation);
    }
    m->writing = false;
    nf_mirage_names_abort(nf);
    space_reset(nf, &m->leaf);
    nf->space.queue_pages = m->queue_pages;
    nf_mirage_queue_reset(nf, &m->leaf.queue);
    m->table = m->committed_table;
    return 0;
}
