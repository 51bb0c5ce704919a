/* SPDX-License-Identifier: ISC */
/* What a program with files on Notafs calls, for the linker to pull in: all of
 * transactions, files and directories. USES_ALL: and the rest of the API. */
#include <notafs/bd_mem.h>
#include <notafs/mem_arena.h>
#include <notafs/notafs.h>

typedef void (*used_fn)(void);
#define USED(fn) ((used_fn)(fn))

const used_fn uses[] = {
    USED(nf_arena_init),      USED(bd_init),        USED(nf_format),
    USED(nf_probe),           USED(nf_mount_bare),  USED(nf_unmount),
    USED(nf_last_error),      USED(nf_sync),        USED(nf_abort),
    USED(nf_stats),           USED(nf_stat),        USED(nf_mkdir),
    USED(nf_remove),          USED(nf_rename),      USED(nf_dir_open),
    USED(nf_dir_next),        USED(nf_dir_close),   USED(nf_open),
    USED(nf_close),           USED(nf_fstat),       USED(nf_read),
    USED(nf_write),           USED(nf_append),      USED(nf_truncate),
#if defined(USES_ALL)
    USED(nf_strerror),        USED(nf_errname),     USED(nf_counters),
    USED(nf_is_dirty),        USED(nf_set_mtime),   USED(nf_dir_seek),
    USED(nf_punch),           USED(nf_seek_data),   USED(nf_seek_hole),
    USED(nf_set_compression), USED(nf_view_open),   USED(nf_generations),
    USED(nf_resize),          USED(nf_trim),        USED(nf_scrub_open),
    USED(nf_scrub_step),      USED(nf_scrub_close), USED(nf_scrub_result),
    USED(bd_mem_init),        USED(nf_mount),
#endif
};
