/* SPDX-License-Identifier: ISC */
/*
 * Progress and interruption, for every command in one place: the library asks
 * for memory all the time, and this is whom it asks. After SIGINT, SIGTERM or
 * SIGHUP it gets none, so whatever is going on fails the way it does when
 * memory runs out: the store stays at its last commit, and is closed. A second
 * signal ends the program at once, which a store survives as well.
 */
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <notafs/host.h>

#include "cli/notapack.h"

static volatile sig_atomic_t caught;

static void note(int number)
{
    caught = number;
}

void np_catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = note};

    action.sa_flags = (int)SA_RESETHAND;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        (void)sigaction(numbers[i], &action, NULL); /* cannot fail */
    }
}

int np_interrupted(void)
{
    return (int)caught;
}

static double clock_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void meter_show(struct np_store *store, double now)
{
    struct np_meter *m = &store->meter;

    fprintf(stderr, "\r\033[K%s: ", m->verb);
    if (m->show != NULL) {
        m->show(m->arg, stderr);
    } else if (store->repo != NULL) {
        struct pk_counters c;

        pk_repo_counters(store->repo, &c);
        fprintf(stderr, "%llu objects",
                (unsigned long long)(c.objects_read + c.objects_appended));
    }
    fprintf(stderr, ", %.0f s", now - m->began);
    m->shown = true;
}

/* Looked at every so many allocations; shown five times a second. */
static void *meter_alloc(void *ctx, size_t size, size_t align)
{
    struct np_store *store = ctx;
    struct np_meter *m = &store->meter;

    if (caught != 0) {
        return NULL;
    }
    if (m->verb != NULL && ++m->n_allocs % 64 == 0) {
        double now = clock_now();

        if (now >= m->due) {
            meter_show(store, now);
            m->due = now + 0.2;
        }
    }
    return m->under.alloc(m->under.ctx, size, align);
}

static void meter_free(void *ctx, void *p, size_t size)
{
    struct np_store *store = ctx;

    store->meter.under.free(store->meter.under.ctx, p, size);
}

static struct nf_time meter_time(void *ctx)
{
    struct np_store *store = ctx;

    return store->meter.under.now(store->meter.under.ctx);
}

void np_meter_env(struct np_store *store)
{
    nf_env_libc(&store->meter.under);
    store->env = store->meter.under;
    store->env.ctx = store;
    store->env.alloc = meter_alloc;
    store->env.free = meter_free;
    store->env.now = meter_time;
}

void np_progress(struct np_store *store, const char *verb, np_progress_fn show,
                 void *arg)
{
    struct np_meter *m = &store->meter;
    const struct np_options *o = store->options;

    if (!o->progress && (o->quiet || !isatty(2))) {
        return;
    }
    m->verb = verb;
    m->show = show;
    m->arg = arg;
    m->began = clock_now();
    m->due = m->began + (o->progress ? 0 : 0.5);
}

void np_progress_end(struct np_store *store)
{
    if (store->meter.shown) {
        fputs("\r\033[K", stderr);
    }
    store->meter.verb = NULL;
    store->meter.shown = false;
}
