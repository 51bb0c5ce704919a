/* SPDX-License-Identifier: ISC */
/*
 * The verb map: a picture of the disk, one cell for a page or for a group of
 * adjacent ones. A cell has the kind of most of its pages that are in use, the
 * age of the youngest, and stands out where something is damaged. The picture
 * goes to the terminal (letters, or blocks where there are colours) or into an
 * SVG file. Data pages are counted, not read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/notafs_cli.h"

#define N_KINDS       (NF_PAGE_UNUSED + 1)
#define N_AGES        3
#define TERMINAL_ROWS 32
#define SVG_COLUMNS   128
#define SVG_ROWS      128
#define SVG_CELL      8

struct run {
    uint64_t page;
    uint64_t count;
    uint64_t birth;
    enum nf_page_kind kind;
    bool damaged;
};

struct cell {
    uint64_t pages[N_KINDS];
    uint64_t birth; /* of the youngest page in use; 0: not known */
    bool damaged;
};

struct map {
    struct cli *cli;
    uint64_t page_count;
    uint64_t generation;
    struct run *runs;
    size_t n_runs;
    size_t cap_runs;
    struct cell *cells;
    size_t n_cells;
    uint64_t cell_pages;
    uint64_t oldest; /* birth */
};

static const struct look {
    char letter;
    int ansi[N_AGES];    /* of 256 colours, old to young */
    const char *svg;     /* colour */
    const char *meaning; /* for the legend */
} looks[N_KINDS] = {
    [NF_PAGE_UNKNOWN] = {'?', {196, 196, 196}, "#d00000", "lost"},
    [NF_PAGE_SYSTEM] = {'S', {90, 127, 201}, "#9b2fae", "system"},
    [NF_PAGE_TABLE] = {'T', {136, 178, 226}, "#d99a00", "file table"},
    [NF_PAGE_INNER] = {'I', {25, 32, 39}, "#1f6fd0", "inner"},
    [NF_PAGE_DATA] = {'D', {28, 34, 46}, "#2a9d3a", "data"},
    [NF_PAGE_QUEUE] = {'Q', {30, 37, 51}, "#16a0a0", "free queue"},
    [NF_PAGE_FREE] = {'.', {244, 244, 244}, "#c8c8c8", "free"},
    [NF_PAGE_UNUSED] = {' ', {238, 238, 238}, "#f0f0f0", "never used"},
};

/* ---- Collecting ----------------------------------------------------- */

static void on_finding(void *ctx, const struct nf_finding *finding)
{
    struct map *map = ctx;
    if (finding->page >= map->page_count) {
        return; /* damage that is nowhere */
    }
    if (map->n_runs == map->cap_runs) {
        map->cap_runs = 2 * map->cap_runs + 256;
        map->runs = cli_realloc(map->runs, map->cap_runs * sizeof(*map->runs));
    }
    uint64_t rest = map->page_count - finding->page;
    struct run run = {.page = finding->page,
                      .count = finding->count < rest ? finding->count : rest,
                      .birth = finding->birth,
                      .kind = finding->kind,
                      .damaged = finding->err != 0};
    map->runs[map->n_runs++] = run;
}

static int by_page(const void *a, const void *b)
{
    const struct run *x = a;
    const struct run *y = b;
    return (x->page > y->page) - (x->page < y->page);
}

/* Neighbours that are alike become one. */
static void merge_runs(struct map *map)
{
    size_t kept = 0;
    if (map->n_runs > 0) {
        qsort(map->runs, map->n_runs, sizeof(*map->runs), by_page);
    }
    for (size_t i = 0; i < map->n_runs; i++) {
        const struct run *run = &map->runs[i];
        struct run *last = kept > 0 ? &map->runs[kept - 1] : NULL;
        if (last != NULL && last->page + last->count == run->page &&
            last->kind == run->kind && last->birth == run->birth &&
            last->damaged == run->damaged) {
            last->count += run->count;
        } else {
            map->runs[kept++] = *run;
        }
    }
    map->n_runs = kept;
}

static int collect(struct map *map)
{
    struct cli *cli = map->cli;
    struct nf_stats stats;
    struct nf_scrub *scrub;
    int status = 0;
    nf_stats(cli->nf, &stats);
    map->page_count = stats.page_count;
    map->generation = stats.generation;
    int res = nf_scrub_open(cli->nf, NF_SCRUB_ACCOUNT | NF_SCRUB_NO_DATA,
                            on_finding, map, &scrub);
    if (res < 0) {
        return cli_fail(cli, res, NULL);
    }
    do {
        res = nf_scrub_step(scrub, 1024);
    } while (res > 0);
    if (res < 0) {
        status = cli_fail(cli, res, NULL);
    }
    nf_scrub_close(scrub);
    merge_runs(map);
    return status;
}

/* ---- Cells ---------------------------------------------------------- */

static bool in_use(enum nf_page_kind kind)
{
    return kind != NF_PAGE_FREE && kind != NF_PAGE_UNUSED;
}

static void make_cells(struct map *map, size_t max_cells)
{
    map->cell_pages = (map->page_count + max_cells - 1) / max_cells;
    map->n_cells =
        (size_t)((map->page_count + map->cell_pages - 1) / map->cell_pages);
    map->cells = cli_alloc(map->n_cells * sizeof(*map->cells));
    memset(map->cells, 0, map->n_cells * sizeof(*map->cells));
    map->oldest = map->generation;
    for (size_t i = 0; i < map->n_runs; i++) {
        const struct run *run = &map->runs[i];
        uint64_t end = run->page + run->count;
        for (uint64_t page = run->page; page < end;) {
            struct cell *cell = &map->cells[page / map->cell_pages];
            uint64_t next = (page / map->cell_pages + 1) * map->cell_pages;
            next = next < end ? next : end;
            cell->damaged = cell->damaged || run->damaged;
            cell->pages[run->kind] += next - page;
            if (in_use(run->kind) && run->birth > cell->birth) {
                cell->birth = run->birth;
            }
            page = next;
        }
        if (in_use(run->kind) && run->birth != 0 && run->birth < map->oldest) {
            map->oldest = run->birth;
        }
    }
}

/* What most pages in use are, or if there are none, most free ones. */
static enum nf_page_kind cell_kind(const struct cell *cell)
{
    enum nf_page_kind best =
        cell->pages[NF_PAGE_FREE] >= cell->pages[NF_PAGE_UNUSED]
            ? NF_PAGE_FREE
            : NF_PAGE_UNUSED;
    uint64_t most = 0;
    for (int kind = 0; kind < N_KINDS; kind++) {
        if (in_use((enum nf_page_kind)kind) && cell->pages[kind] > most) {
            most = cell->pages[kind];
            best = (enum nf_page_kind)kind;
        }
    }
    return best;
}

static bool is_full(const struct map *map, const struct cell *cell)
{
    uint64_t unused = cell->pages[NF_PAGE_FREE] + cell->pages[NF_PAGE_UNUSED];
    return 2 * unused < map->cell_pages;
}

/* 0 (old) to N_AGES - 1 (young), by generation. */
static int cell_age(const struct map *map, const struct cell *cell)
{
    uint64_t span = map->generation - map->oldest;
    if (span == 0 || cell->birth < map->oldest) {
        return N_AGES - 1;
    }
    uint64_t age = (cell->birth - map->oldest) * N_AGES / (span + 1);
    return age < N_AGES ? (int)age : N_AGES - 1;
}

/* ---- The terminal --------------------------------------------------- */

static void print_cell(const struct map *map, const struct cell *cell,
                       bool colours)
{
    enum nf_page_kind kind = cell_kind(cell);
    const struct look *look = &looks[kind];
    if (cell->damaged) {
        fputs(colours ? "\033[1;37;41m!\033[0m" : "!", stdout);
        return;
    }
    bool blocks = colours && in_use(kind);
    if (colours) {
        printf("\033[38;5;%dm", look->ansi[cell_age(map, cell)]);
    }
    if (blocks) {
        fputs(is_full(map, cell) ? "█" : "▒", stdout);
    } else {
        bool small =
            !is_full(map, cell) && in_use(kind) && kind != NF_PAGE_UNKNOWN;
        fputc(small ? look->letter | 0x20 : look->letter, stdout);
    }
    if (colours) {
        fputs("\033[0m", stdout);
    }
}

static void print_legend(const struct map *map, bool colours)
{
    char size[CLI_SIZE_LEN];
    printf("generation %" PRIu64 ", %" PRIu64 " pages, a cell is %" PRIu64
           " (%s)\n",
           map->generation, map->page_count, map->cell_pages,
           cli_size(size, map->cell_pages * map->cli->disk.page_size));
    for (int kind = 1; kind < N_KINDS; kind++) {
        if (colours) {
            printf("\033[38;5;%dm%s\033[0m %s  ", looks[kind].ansi[N_AGES - 1],
                   in_use((enum nf_page_kind)kind) ? "█" : ".",
                   looks[kind].meaning);
        } else {
            printf("'%c' %s  ", looks[kind].letter, looks[kind].meaning);
        }
    }
    printf("'!' damaged\n%s\n",
           colours ? "dark: written long ago; bright: by recent generations"
                   : "small letters: most of the cell is free");
}

static int draw_terminal(struct map *map)
{
    struct winsize window;
    size_t columns = 80;
    bool colours = cli_colours(stdout);
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 16) {
        columns = window.ws_col;
    }
    columns = (columns - 12) / 8 * 8; /* page numbers stand on the left */
    make_cells(map, columns * TERMINAL_ROWS);
    for (size_t i = 0; i < map->n_cells; i++) {
        if (i % columns == 0) {
            printf("%10" PRIu64 " ", i * map->cell_pages);
        }
        print_cell(map, &map->cells[i], colours);
        if (i % columns == columns - 1 || i + 1 == map->n_cells) {
            printf("\n");
        }
    }
    print_legend(map, colours);
    return 0;
}

/* ---- SVG ------------------------------------------------------------ */

static bool look_alike(const struct map *map, const struct cell *a,
                       const struct cell *b)
{
    return a->damaged == b->damaged && cell_kind(a) == cell_kind(b) &&
           is_full(map, a) == is_full(map, b) &&
           cell_age(map, a) == cell_age(map, b);
}

/* Cells [first, end) of one row, which look alike. */
static void draw_rect(const struct map *map, FILE *out, size_t first,
                      size_t end)
{
    static const char *const strengths[N_AGES] = {"0.55", "0.8", "1"};
    const struct cell *cell = &map->cells[first];
    enum nf_page_kind kind = cell_kind(cell);
    uint64_t last_page = end * map->cell_pages;
    if (last_page > map->page_count) {
        last_page = map->page_count;
    }
    fprintf(
        out,
        "<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%d\" "
        "fill=\"%s\" opacity=\"%s\"><title>pages %" PRIu64 "..%" PRIu64 ": %s",
        first % SVG_COLUMNS * SVG_CELL, first / SVG_COLUMNS * SVG_CELL,
        (end - first) * SVG_CELL - 1, SVG_CELL - 1,
        cell->damaged ? "#ff0000" : looks[kind].svg,
        in_use(kind) && !is_full(map, cell) ? "0.35"
                                            : strengths[cell_age(map, cell)],
        first * map->cell_pages, last_page - 1,
        cell->damaged ? "damaged" : looks[kind].meaning);
    if (cell->birth != 0) {
        fprintf(out, ", generation %" PRIu64, cell->birth);
    }
    fprintf(out, "</title></rect>\n");
}

static void draw_svg_legend(FILE *out, size_t y)
{
    for (int kind = 1; kind < N_KINDS; kind++) {
        size_t x = (size_t)(kind - 1) * 120;
        fprintf(out,
                "<rect x=\"%zu\" y=\"%zu\" width=\"12\" height=\"12\" "
                "fill=\"%s\"/><text x=\"%zu\" y=\"%zu\">%s</text>\n",
                x, y, looks[kind].svg, x + 18, y + 11, looks[kind].meaning);
    }
    fprintf(out,
            "<text x=\"0\" y=\"%zu\">Red is damaged; faint cells were written "
            "long ago or are mostly free.</text>\n",
            y + 34);
}

static int draw_svg(struct map *map, const char *path)
{
    FILE *out = fopen(path, "we");
    if (out == NULL) {
        return cli_fail_errno(map->cli, path);
    }
    make_cells(map, SVG_COLUMNS * SVG_ROWS);
    size_t rows = (map->n_cells + SVG_COLUMNS - 1) / SVG_COLUMNS;
    size_t width = SVG_COLUMNS * SVG_CELL;
    size_t height = rows * SVG_CELL + 56;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%zu\" "
            "height=\"%zu\" font-family=\"sans-serif\" font-size=\"13\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
            width, height);
    for (size_t first = 0; first < map->n_cells;) {
        size_t end = first + 1;
        while (end < map->n_cells && end % SVG_COLUMNS != 0 &&
               look_alike(map, &map->cells[first], &map->cells[end])) {
            end++;
        }
        draw_rect(map, out, first, end);
        first = end;
    }
    draw_svg_legend(out, rows * SVG_CELL + 10);
    fprintf(out, "</svg>\n");
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        return cli_fail_errno(map->cli, path);
    }
    return 0;
}

static int print_runs(struct map *map)
{
    json_t *array = json_array();
    for (size_t i = 0; i < map->n_runs; i++) {
        const struct run *run = &map->runs[i];
        json_array_append_new(
            array,
            json_pack("{s:I, s:I, s:s, s:I, s:b}", "page",
                      (json_int_t)run->page, "count", (json_int_t)run->count,
                      "kind", cli_kind_name(run->kind), "generation",
                      (json_int_t)run->birth, "damaged", (int)run->damaged));
    }
    return cli_print_json(
        map->cli, json_pack("{s:o, s:I, s:I, s:o}", "disk",
                            cli_json_disk(&map->cli->disk), "generation",
                            (json_int_t)map->generation, "page_count",
                            (json_int_t)map->page_count, "runs", array));
}

int cli_verb_map(struct cli *cli)
{
    int status = cli_open(cli, CLI_READ);
    if (status != 0) {
        return status;
    }
    struct map map = {.cli = cli};
    status = collect(&map);
    if (status == 0 && cli_has(cli, CLI_JSON)) {
        status = print_runs(&map);
    } else if (status == 0 && cli_has(cli, CLI_SVG)) {
        status = draw_svg(&map, cli->options[CLI_SVG].text);
    } else if (status == 0) {
        status = draw_terminal(&map);
    }
    free(map.runs);
    free(map.cells);
    return status;
}
