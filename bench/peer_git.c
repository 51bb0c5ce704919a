/* SPDX-License-Identifier: ISC */
/* git fast-import, told to fsync what it writes; a checkpoint behind each
 * commit ends the pack and sets the branch, a progress line says that it did.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/peer.h"

struct git_peer {
    struct peer_setup setup;
    pid_t pid;
    FILE *to;
    FILE *from;
    uint64_t n_commits;
};

static void git_run(const char *folder)
{
    execlp("git", "git", "-C", folder, "-c", "core.fsync=all", "-c",
           "core.fsyncMethod=fsync", "fast-import", "--quiet", (char *)NULL);
    _exit(127);
}

static void *git_open(const struct peer_setup *setup)
{
    struct git_peer *p = calloc(1, sizeof(*p));
    int to[2];
    int from[2];
    char *init;

    if (p == NULL || pipe(to) != 0 || pipe(from) != 0 ||
        asprintf(&init, "git init --quiet --bare '%s'", setup->folder) < 0 ||
        system(init) != 0) {
        bench_fail("git init %s", setup->folder);
    }
    free(init);
    p->setup = *setup;
    p->pid = fork();
    if (p->pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]);
        close(from[0]);
        git_run(setup->folder);
    }
    close(to[0]);
    close(from[1]);
    p->to = fdopen(to[1], "w");
    p->from = fdopen(from[0], "r");
    if (p->pid < 0 || p->to == NULL || p->from == NULL) {
        bench_fail("git fast-import");
    }
    return p;
}

static void git_commit(void *peer, const struct peer_update *updates, size_t n)
{
    struct git_peer *p = peer;
    char line[64];

    fprintf(p->to,
            "commit refs/heads/main\n"
            "committer bench <bench> %" PRIu64 " +0000\ndata 5\nbench\n",
            p->n_commits++);
    for (size_t i = 0; i < n; i++) {
        char text[KEY_TEXT_CAP];

        key_text(&p->setup.keys, updates[i].i, text);
        if (updates[i].value == NULL) {
            fprintf(p->to, "D %s\n", text);
            continue;
        }
        fprintf(p->to, "M 100644 inline %s\ndata %zu\n", text,
                p->setup.value_len);
        fwrite(updates[i].value, 1, p->setup.value_len, p->to);
        fputc('\n', p->to);
    }
    fputs("checkpoint\n\nprogress done\n", p->to);
    fflush(p->to);
    if (fgets(line, sizeof(line), p->from) == NULL) {
        bench_fail("git fast-import ended");
    }
}

static void git_close(void *peer)
{
    struct git_peer *p = peer;

    fclose(p->to);
    fclose(p->from);
    waitpid(p->pid, NULL, 0);
    free(p);
}

const struct peer peer_git = {"git fast-import", 0,         git_open,
                              git_commit,        git_close, NULL};
