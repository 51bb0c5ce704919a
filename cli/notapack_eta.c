/* SPDX-License-Identifier: ISC */
#include "cli/notapack_eta.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void note(int number)
{
    caught = number;
}

void np_signals_catch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = note};

    action.sa_flags = (int)SA_RESETHAND;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        (void)sigaction(numbers[i], &action, NULL); /* cannot fail */
    }
}

int np_signals_caught(void)
{
    return (int)caught;
}

static double clock_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void np_eta_begin(struct np_eta *p, const struct np_options *options)
{
    p->shown = options->progress || (!options->quiet && isatty(2));
    p->began = clock_now();
    p->due = p->began;
}

void np_eta_restart(struct np_eta *p)
{
    p->began = clock_now();
}

void np_eta_show(struct np_eta *p, const char *what, uint64_t done,
                 uint64_t total)
{
    double part = total == 0 ? 0 : (double)done / (double)total;
    double now = p->shown ? clock_now() : 0;

    if (!p->shown || now < p->due) {
        return;
    }
    if (total == 0) {
        fprintf(stderr, "\r\033[K%s: %llu objects", what,
                (unsigned long long)done);
    } else {
        fprintf(stderr, "\r\033[K%s: %.0f%%", what, part * 100);
    }
    if (part > 0.01 && now - p->began > 1) {
        fprintf(stderr, ", %.0f s left", (now - p->began) * (1 - part) / part);
    }
    p->due = now + 0.2;
}

void np_eta_end(struct np_eta *p)
{
    if (p->shown) {
        fputs("\r\033[K", stderr);
    }
}
