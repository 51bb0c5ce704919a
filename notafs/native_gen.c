/* SPDX-License-Identifier: ISC */
/*
 * Generations of a native disk. Generation g is one page in slot g mod 8, and
 * everything is reached from it:
 *
 *    0  8  "NFGEN" 0 0 1             104  8  queue: taken of the first record
 *    8  8  uid of the header         112  8  queue: bytes trimmed
 *   16  8  generation                120  8  queue: end, byte
 *   24  8  commit time, seconds      128  8  free pages in the queue
 *   32  4  nanoseconds               136  8  pages ever pushed
 *   36  1  height of the table       144 56  the same at g-1 .. g-7
 *   37  1  height of the queue       200  8  files
 *   38  1  flags: 1 = discards       208  8  directories
 *   39  1  0                         216  8  next id
 *   40  8  pages of the disk         224  2  n: pages listed
 *   48  8  first page never used     226  2  m: ranges in the tail
 *   56 20  pointer: table            228  4  pages of the table
 *   76 20  pointer: queue rope       232     n x 14: page id (6), XXH3-64 (8)
 *   96  8  queue: head, byte                 m x 12: first page (6), count (6)
 *                                    P-8  8  XXH3-64 of all before
 *
 * A small commit writes its pages and this one in a single batch, and lists
 * them here: the generation counts only if all of them have arrived. A larger
 * one flushes its pages before this page is written, and lists none.
 *
 * The queue is the rope's records from head to end, then the tail's ranges.
 */
#include "notafs/native_int.h"

#define GEN_DISCARDS 1u /* its writer discards what is free: see discard.c */
#define GEN_FIXED    232u
#define GEN_LIST_LEN 14u
#define GEN_TAIL_LEN 12u
#define GEN_LIST_MAX 24u /* two lists, slots and headers: < 64 reads */
#define READ_RETRIES 2   /* before a device error counts as damage */
#define COUNT_MAX    ((uint64_t)1 << 62) /* of what is counted for ever */

static const uint8_t magic[8] = {'N', 'F', 'G', 'E', 'N', 0, 0, 1};

/* What a generation page lists, besides the state. */
struct gen_list {
    uint32_t n;
    uint64_t id[GEN_LIST_MAX];
    uint64_t sum[GEN_LIST_MAX];
};

/* Pages that a small commit may list: fewer where the page is small, so that
 * the tail has room, too. */
static uint32_t list_max(const struct nf *nf)
{
    uint32_t n = nf->disk.page_size / 64;
    return n < GEN_LIST_MAX ? n : GEN_LIST_MAX;
}

static uint32_t tail_max(const struct nf *nf)
{
    uint32_t room =
        nf->disk.page_size - GEN_FIXED - 8 - list_max(nf) * GEN_LIST_LEN;
    uint32_t n = room / GEN_TAIL_LEN;
    return n < NF_TAIL_RANGES / 2 ? n : NF_TAIL_RANGES / 2;
}

static uint64_t slot_page(const struct nf_disk *disk, uint64_t generation)
{
    return (1 + generation % disk->slots) * disk->slot_stride;
}

/* ---- Encoding ------------------------------------------------------- */

static void gen_put(const struct nf *nf, uint64_t generation,
                    struct nf_time now, const struct gen_list *list, uint8_t *p)
{
    const struct nf_space *space = &nf->space;
    const struct nf_native_queue *q = &nf->native.queue;
    uint32_t size = nf->disk.page_size;
    memset(p, 0, size);
    memcpy(p, magic, 8);
    nf_put_le64(p + 8, nf->disk.uid);
    nf_put_le64(p + 16, generation);
    nf_put_le64(p + 24, (uint64_t)now.sec);
    nf_put_le32(p + 32, now.nsec);
    p[36] = nf->native.table_height;
    p[37] = q->rope.height;
    p[38] = nf->discards != NULL ? GEN_DISCARDS : 0;
    nf_put_le64(p + 40, nf->page_count);
    nf_put_le64(p + 48, space->free_start);
    nf_native_ptr_put(nf, p + 56, &nf->native.table);
    nf_native_ptr_put(nf, p + 76, &q->rope.root);
    nf_put_le64(p + 96, q->head);
    nf_put_le64(p + 104, q->skip);
    nf_put_le64(p + 112, q->trim);
    nf_put_le64(p + 120, q->end);
    nf_put_le64(p + 128, space->queue_pages);
    nf_put_le64(p + 136, space->pushed);
    for (uint32_t i = 0; i < NF_HIST - 1; i++) {
        nf_put_le64(p + 144 + 8 * i, space->hist[i]);
    }
    nf_put_le64(p + 200, nf->counts.files);
    nf_put_le64(p + 208, nf->counts.dirs);
    nf_put_le64(p + 216, nf->counts.next_id);
    nf_put_le16(p + 224, (uint16_t)list->n);
    nf_put_le16(p + 226, (uint16_t)space->n_tail);
    nf_put_le32(p + 228, nf->native.table_pages);
    uint8_t *at = p + GEN_FIXED;
    for (uint32_t i = 0; i < list->n; i++, at += GEN_LIST_LEN) {
        nf_put_le48(at, list->id[i]);
        nf_put_le64(at + 6, list->sum[i]);
    }
    for (size_t i = 0; i < space->n_tail; i++, at += GEN_TAIL_LEN) {
        nf_put_le48(at, space->tail[i].first);
        nf_put_le48(at + 6, space->tail[i].count);
    }
    nf_assert(at <= p + size - 8);
    nf_put_le64(p + size - 8, nf_xxh3(p, size - 8));
}

int nf_native_gen_first(struct bd *bd, struct nf_mem *mem,
                        const struct nf_disk *disk, uint8_t *page)
{
    struct gen_list no_list = {0};
    struct nf *nf = nf_calloc(mem, 1, sizeof(*nf));
    if (nf == NULL) {
        return NF_ENOMEM;
    }
    nf->disk = *disk;
    nf->page_count = disk->page_count;
    nf->space.free_start = nf_native_first_page(disk);
    nf->counts.next_id = NF_ROOT_DIR + 1;
    struct nf_time now = {0, 0};
    if (mem->env->now != NULL) {
        now = mem->env->now(mem->env->ctx);
    }
    gen_put(nf, 1, now, &no_list, page);
    nf_free(mem, nf, sizeof(*nf));
    return bd_write(bd, slot_page(disk, 1), 1, page);
}

/* ---- Decoding ------------------------------------------------------- */

/* Whether a page is a generation of this disk; its number. */
static bool gen_valid(const struct nf *nf, const uint8_t *p, uint64_t *ret)
{
    uint32_t size = nf->disk.page_size;
    if (memcmp(p, magic, 8) != 0 || nf_get_le64(p + 8) != nf->disk.uid ||
        nf_get_le64(p + size - 8) != nf_xxh3(p, size - 8)) {
        return false;
    }
    *ret = nf_get_le64(p + 16);
    return *ret != 0;
}

/* Whether a root may be that of a tree. */
static bool root_ok(const struct nf *nf, const struct nf_ptr *ptr)
{
    return nf_ptr_is_null(ptr) || nf_native_ptr_ok(nf, ptr, nf->generation);
}

/* Whether the numbers of a generation make sense together. */
static bool gen_ok(const struct nf *nf)
{
    const struct nf_space *space = &nf->space;
    const struct nf_native_queue *q = &nf->native.queue;
    for (uint32_t i = 1; i < NF_HIST; i++) {
        if (space->hist[i] > space->hist[i - 1]) {
            return false;
        }
    }
    return nf->generation <= NATIVE_MAX_GEN &&
           space->free_start >= nf->first_page &&
           space->free_start <= nf->page_count &&
           space->queue_pages <= space->free_start - nf->first_page &&
           space->queue_pages <= space->pushed && space->pushed <= COUNT_MAX &&
           q->head % 8 == 0 && q->end % 8 == 0 && q->trim <= q->head &&
           q->head <= q->end && q->end <= NATIVE_MAX_BYTES &&
           (q->skip == 0 || q->head < q->end) &&
           q->rope.height <= NATIVE_ROPE_HEIGHT && root_ok(nf, &q->rope.root) &&
           nf->native.table_height <= NF_MAX_HEIGHT &&
           nf->native.table_pages <= nf->page_count &&
           root_ok(nf, &nf->native.table) && nf->counts.next_id > NF_ROOT_DIR &&
           nf->counts.next_id <= COUNT_MAX;
}

/* Validate and take over the state. The queue's numbers must add up; what the
 * trees hold is checked when they are read. */
static int gen_get(struct nf *nf, const uint8_t *p)
{
    struct nf_space *space = &nf->space;
    struct nf_native_queue *q = &nf->native.queue;
    uint32_t n_list = nf_get_le16(p + 224);
    uint32_t n_tail = nf_get_le16(p + 226);
    nf->page_count = nf_get_le64(p + 40);
    if (nf->page_count > nf->bd.geo.page_count) {
        return NF_EC_DISK_SIZE;
    }
    memset(space, 0, sizeof(*space));
    memset(q, 0, sizeof(*q));
    nf->first_page = nf_native_first_page(&nf->disk);
    nf->generation = nf_get_le64(p + 16);
    nf->native.table_height = p[36];
    nf->native.table_pages = nf_get_le32(p + 228);
    nf_native_ptr_get(nf, p + 56, &nf->native.table);
    q->rope.height = p[37];
    nf_native_ptr_get(nf, p + 76, &q->rope.root);
    q->head = nf_get_le64(p + 96);
    q->skip = nf_get_le64(p + 104);
    q->trim = nf_get_le64(p + 112);
    q->end = nf_get_le64(p + 120);
    q->rope.size = q->end;
    space->free_start = nf_get_le64(p + 48);
    space->queue_pages = nf_get_le64(p + 128);
    space->pushed = nf_get_le64(p + 136);
    space->hist[0] = space->pushed;
    for (uint32_t i = 1; i < NF_HIST; i++) {
        space->hist[i] = nf_get_le64(p + 136 + 8 * i);
    }
    nf->counts.files = nf_get_le64(p + 200);
    nf->counts.dirs = nf_get_le64(p + 208);
    nf->counts.next_id = nf_get_le64(p + 216);
    if (n_list > list_max(nf) || n_tail > tail_max(nf) || !gen_ok(nf)) {
        return NF_EC_NODE;
    }
    const uint8_t *at = p + GEN_FIXED + n_list * GEN_LIST_LEN;
    uint64_t tail_pages = 0;
    for (uint32_t i = 0; i < n_tail; i++, at += GEN_TAIL_LEN) {
        struct nf_extent *e = &space->tail[i];
        e->first = nf_get_le48(at);
        e->count = nf_get_le48(at + 6);
        if (e->first < nf->first_page || e->count == 0 ||
            e->first >= nf->page_count ||
            e->count > nf->page_count - e->first) {
            return NF_EC_QUEUE;
        }
        tail_pages += e->count;
    }
    space->n_tail = n_tail;
    if (tail_pages > space->queue_pages ||
        (q->head == q->end && tail_pages != space->queue_pages)) {
        return NF_EC_QUEUE;
    }
    return 0;
}

/* A page that matters: a device's passing error is not damage. */
static int read_again(struct nf *nf, uint64_t page, uint8_t *buf)
{
    int err = bd_read(&nf->bd, page, 1, buf);
    for (int i = 0; i < READ_RETRIES && err == NF_EIO; i++) {
        err = bd_read(&nf->bd, page, 1, buf);
    }
    return err;
}

/* Whether all pages that a generation lists have arrived. gen is its page, and
 * buf another one. */
static int list_verify(struct nf *nf, const uint8_t *gen, uint8_t *buf)
{
    uint32_t n = nf_get_le16(gen + 224);
    const uint8_t *at = gen + GEN_FIXED;
    if (n > list_max(nf)) {
        return NF_EC_NODE;
    }
    for (uint32_t i = 0; i < n; i++, at += GEN_LIST_LEN) {
        uint64_t id = nf_get_le48(at);
        if (id >= nf->bd.geo.page_count) {
            return NF_EC_PAGE_ID;
        }
        int err = read_again(nf, id, buf);
        if (err != 0) {
            return err;
        }
        if (nf_page_sum(nf, buf) != nf_get_le64(at + 6)) {
            return NF_EC_CHECKSUM;
        }
    }
    return 0;
}

/* ---- Opening -------------------------------------------------------- */

/* Read slot i into nf->scratch: its generation, 0 if it holds none. */
static int slot_read(struct nf *nf, uint32_t i, uint64_t *ret)
{
    uint64_t page = (1 + (uint64_t)i) * nf->disk.slot_stride;
    *ret = 0;
    int err = read_again(nf, page, nf->scratch);
    if (err == NF_EIO) {
        return 0; /* a slot that cannot be read is one that is damaged */
    }
    uint64_t number;
    if (err == 0 && gen_valid(nf, nf->scratch, &number) &&
        number % nf->disk.slots == i) {
        *ret = number;
    }
    return err;
}

/* The generation numbers in the slots, 0 where there is none. */
static int slots_read(struct nf *nf, uint64_t *numbers)
{
    for (uint32_t i = 0; i < nf->disk.slots; i++) {
        int err = slot_read(nf, i, &numbers[i]);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

/* Take over the generation in slot i if all of it is there. */
static int candidate(struct nf *nf, uint32_t i, bool list, bool walk)
{
    uint64_t number;
    int err = slot_read(nf, i, &number);
    if (err == 0 && number == 0) {
        err = NF_EC_CHECKSUM; /* it was there a moment ago */
    }
    if (err == 0) {
        err = gen_get(nf, nf->scratch);
    }
    if (err == 0 && list) {
        uint8_t *buf = nf_alloc_aligned(&nf->mem, nf->disk.page_size, 4096);
        if (buf == NULL) {
            return NF_ENOMEM;
        }
        err = list_verify(nf, nf->scratch, buf);
        nf_free(&nf->mem, buf, nf->disk.page_size);
    }
    if (err == 0 && walk) {
        err = nf->verify(nf);
    }
    if (err == 0) {
        /* By then all slots are written anew, whatever they claim now. */
        nf->seen = nf_min_u64(nf->seen, number + nf->disk.slots);
    }
    return err;
}

int nf_native_open(struct nf *nf, uint64_t generation)
{
    uint64_t numbers[NATIVE_SLOTS];
    bool lists = (nf->flags & NF_MOUNT_NO_VERIFY) == 0;
    bool walk = (nf->flags & NF_MOUNT_VERIFY) != 0 ||
                (lists && (nf->bd.geo.caps & BD_CAP_FLUSH) == 0);
    int err = slots_read(nf, numbers);
    if (err != 0) {
        return nf_fail(nf, err, NF_NOWHERE, "generation slots");
    }
    nf->seen = 0;
    for (uint32_t i = 0; i < nf->disk.slots; i++) {
        nf->seen = nf_max_u64(nf->seen, numbers[i]);
    }
    if (generation != 0) {
        uint32_t i = (uint32_t)(generation % nf->disk.slots);
        if (numbers[i] != generation) {
            return nf_fail(nf, NF_EC_BAD_GEN, NF_NOWHERE, "generation");
        }
        err = candidate(nf, i, false, false);
        return err == 0 ? 0
                        : nf_fail(nf, err, slot_page(&nf->disk, generation),
                                  "generation");
    }
    /* From the newest to the oldest. Those before the newest two were durable
     * before the newest was begun: their lists say nothing new. */
    for (uint32_t tried = 0; tried < nf->disk.slots; tried++) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < nf->disk.slots; i++) {
            best = numbers[i] > numbers[best] ? i : best;
        }
        if (numbers[best] == 0) {
            break;
        }
        err = candidate(nf, best, lists && tried < 2, walk);
        if (err == 0) {
            nf->settled = nf->generation >= nf->seen;
            return 0;
        }
        if (nf_err_class(err) != NF_ECORRUPT && err != NF_EIO) {
            return nf_fail(nf, err, NF_NOWHERE, "generation");
        }
        nf_trace(nf->mem.env, NF_EV_FALLBACK, numbers[best],
                 slot_page(&nf->disk, numbers[best]), (uint64_t)-err);
        nf_cache_drop(nf);
        numbers[best] = 0;
    }
    return nf_fail(nf, NF_EC_NO_GENERATION, NF_NOWHERE, "generation slots");
}

void nf_native_close(struct nf *nf)
{
    nf_native_cluster_release(nf);
    memset(&nf->native, 0, sizeof(nf->native));
}

int nf_native_reload(struct nf *nf)
{
    nf_native_close(nf);
    /* A commit that failed may have reached the disk or not: look. */
    return nf_native_open(nf, nf->commit_failed ? 0 : nf->generation);
}

int nf_native_generations(struct nf *nf, struct nf_generation *ret, size_t max)
{
    uint64_t numbers[NATIVE_SLOTS];
    /* Of all pages ever pushed, how many may have lost what was in them: those
     * that were given out again, and what a commit that discards no longer
     * held. A generation reaches what later ones pushed. */
    uint64_t gone = nf->space.pushed - nf->space.queue_pages;
    int n = 0;
    int err = slots_read(nf, numbers);
    if (err != 0) {
        return nf_fail(nf, err, NF_NOWHERE, "generation slots");
    }
    while ((size_t)n < max) {
        uint64_t number = 0;
        uint32_t best = 0;
        for (uint32_t i = 0; i < nf->disk.slots; i++) {
            if (numbers[i] > number && numbers[i] <= nf->generation) {
                number = numbers[i];
                best = i;
            }
        }
        if (number == 0) {
            break;
        }
        numbers[best] = 0;
        err = slot_read(nf, best, &number);
        if (err != 0) {
            return nf_fail(nf, err, NF_NOWHERE, "generation slots");
        }
        if (number == 0) {
            continue;
        }
        ret[n].number = number;
        ret[n].time.sec = (int64_t)nf_get_le64(nf->scratch + 24);
        ret[n].time.nsec = nf_get_le32(nf->scratch + 32);
        ret[n].complete = gone <= nf_get_le64(nf->scratch + 136);
        if ((nf->scratch[38] & GEN_DISCARDS) != 0) {
            gone = nf_max_u64(gone, nf_get_le64(nf->scratch + 144));
        }
        n++;
    }
    return n;
}

/* ---- Committing ----------------------------------------------------- */

/*
 * The order of a commit. Everything is at its place in memory; then
 *   small: one batch of all changed pages and the generation page, a flush;
 *   large: the changed pages, a flush, the generation page, a flush.
 */
int nf_native_publish(struct nf *nf)
{
    struct nf_cache *cache = &nf->cache;
    struct gen_list list;
    uint64_t generation = nf_txn_gen(nf);
    uint64_t page = slot_page(&nf->disk, generation);
    if (generation > NATIVE_MAX_GEN) {
        return nf_fail(nf, NF_EFBIG, NF_NOWHERE, "number of the generation");
    }
    int err = nf_space_flush(nf, tail_max(nf));
    if (err != 0) {
        return err;
    }
    nf_cache_seal(nf);
    list.n = 0;
    bool small = !cache->spilled && cache->n_dirty <= list_max(nf);
    if (small) {
        for (size_t i = 0; i < cache->n_frames; i++) {
            const struct nf_frame *frame = &cache->frames[i];
            if (frame->id != 0 && frame->dirty) {
                list.id[list.n] = frame->id;
                list.sum[list.n++] = frame->sum;
            }
        }
    } else {
        err = nf_cache_write(nf, 0, NULL);
        if (err == 0) {
            err = bd_flush(&nf->bd);
        }
        if (err != 0) {
            return nf_fail(nf, err, NF_NOWHERE, "flush of changed pages");
        }
    }
    gen_put(nf, generation, nf_now(nf), &list, nf->scratch);
    err = nf_cache_write(nf, page, nf->scratch);
    if (err == 0) {
        err = bd_flush(&nf->bd);
    }
    return err == 0 ? 0 : nf_fail(nf, err, page, "generation page");
}
