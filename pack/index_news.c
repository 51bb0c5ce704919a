/* SPDX-License-Identifier: ISC */
/*
 * How a reader follows an index (spec 6.3). A writer appends to the log, or
 * puts a new data file in place and then an empty log; each is one step. So a
 * reader opens data before the log: if the log has been emptied since, its
 * generation is ahead of data's, and the reader begins again. (There are
 * indices in which it is always ahead; then it is the same twice.) The log of
 * a merge that is going on is opened before both: its entries are in one of
 * them by the time that it goes.
 *
 * Where the generation is that of last time only the log's new entries are
 * read.
 */
#include <string.h>

#include "pack/index.h"

enum { NEWS_TRIES = 100 };

static const char index_log_name[] = "index/log";
static const char index_data_name[] = "index/data";
static const char index_async_name[] = "index/log_async";

void pk_index_news_deinit(struct pk_index_news *news)
{
    (void)pk_file_close(&news->log_file); /* only read */
    (void)pk_file_close(&news->data_file);
    pk_buf_deinit(&news->entries);
}

/* Entries of a log from a position on, behind those that there are. */
static int news_read(struct pk_index *index, struct pk_index_news *news,
                     struct pk_file *file, uint64_t from, uint64_t to)
{
    uint8_t *p;

    if (to - from > SIZE_MAX / 4) {
        return pk_fail_mem(index->ctx);
    }
    if (to == from) {
        return 0;
    }
    p = pk_buf_grow(&news->entries, (size_t)(to - from));
    if (p == NULL) {
        return pk_fail_mem(index->ctx);
    }
    return pk_file_read(file, PK_INDEX_HEADER_LEN + from, p,
                        (size_t)(to - from));
}

/* Is the log the one of last time, with no fewer entries? */
static bool news_go_on(const struct pk_index *index,
                       const struct pk_index_news *news)
{
    return index->log_file.handle != NULL && !index->had_async &&
           !news->has_async && news->log_file.handle != NULL &&
           news->log_header.generation == index->log_header.generation &&
           news->log_header.len >= index->flushed;
}

/* Open the files once; *ret_ahead: the log's generation, where it is ahead of
 * data's, or 0. */
static int news_open(struct pk_index *index, struct pk_index_news *news,
                     struct pk_file *async, uint64_t *ret_ahead)
{
    struct pk_index_header header;
    int err = pk_index_open_file(index, index_async_name, 0, async, &header);

    news->has_async = async->handle != NULL;
    news->async_len = header.len;
    if (err == 0) {
        err = pk_index_open_file(index, index_data_name, 0, &news->data_file,
                                 &news->data_header);
    }
    if (err == 0) {
        err = pk_index_open_file(index, index_log_name, 0, &news->log_file,
                                 &news->log_header);
    }
    if (err == 0 && news->log_header.fan_len != 0) {
        err = pk_fail(index->ctx, NF_EC_INDEX, index_log_name, 24,
                      "fan-out table in a log");
    }
    *ret_ahead = news->log_header.generation > news->data_header.generation
                     ? news->log_header.generation
                     : 0;
    return err;
}

int pk_index_look(struct pk_index *index, struct pk_index_news *news)
{
    struct pk_file async = {0};
    uint64_t ahead = 0;
    uint64_t before = 0;
    int err = NF_EAGAIN;

    for (int i = 0; i < NEWS_TRIES && err == NF_EAGAIN; i++) {
        memset(news, 0, sizeof(*news));
        news->entries = pk_buf_of(&index->ctx->mem);
        err = news_open(index, news, &async, &ahead);
        if (err == 0 && ahead != before && !news_go_on(index, news)) {
            before = ahead;
            err = NF_EAGAIN;
            pk_index_news_deinit(news);
            (void)pk_file_close(&async); /* only read */
        }
    }
    if (err == 0) {
        news->whole = !news_go_on(index, news);
        err = news_read(index, news, &news->log_file,
                        news->whole ? 0 : index->flushed, news->log_header.len);
    }
    if (err == 0 && news->has_async) {
        err = news_read(index, news, &async, 0, news->async_len);
    }
    (void)pk_file_close(&async); /* only read */
    if (err != 0) {
        pk_index_news_deinit(news);
    }
    return err;
}

/* All entries into a log of its own, which then takes the place of index's. */
static int adopt_whole(struct pk_index *index, struct pk_index_news *news)
{
    struct pk_index fresh = *index;
    int err;

    fresh.log = (struct pk_index_log){.entries = news->entries};
    err = pk_index_enter(&fresh, fresh.log.entries.len / index->entry_len);
    if (err != 0) {
        nf_free(&index->ctx->mem, fresh.log.slots,
                fresh.log.n_slots * sizeof(*fresh.log.slots));
        return err;
    }
    pk_buf_deinit(&index->log.entries);
    nf_free(&index->ctx->mem, index->log.slots,
            index->log.n_slots * sizeof(*index->log.slots));
    (void)pk_file_close(&index->data_file); /* only read */
    index->log = fresh.log;
    index->data_file = news->data_file;
    index->data_header = news->data_header;
    index->had_async = news->has_async;
    news->entries = pk_buf_of(&index->ctx->mem);
    news->data_file.handle = NULL;
    return 0;
}

static int adopt_more(struct pk_index *index, const struct pk_index_news *news)
{
    struct pk_buf *entries = &index->log.entries;
    size_t before = entries->len;
    int err;

    pk_put(entries, news->entries.p, news->entries.len);
    err = entries->failed
              ? pk_fail_mem(index->ctx)
              : pk_index_enter(index, news->entries.len / index->entry_len);
    if (err != 0) {
        entries->failed = false;
        entries->len = before;
    }
    return err;
}

int pk_index_adopt(struct pk_index *index, struct pk_index_news *news)
{
    int err = news->whole ? adopt_whole(index, news) : adopt_more(index, news);

    if (err == 0) {
        (void)pk_file_close(&index->log_file); /* only read */
        index->log_file = news->log_file;
        index->log_header = news->log_header;
        index->flushed = news->log_header.len;
        news->log_file.handle = NULL;
    }
    return err;
}
