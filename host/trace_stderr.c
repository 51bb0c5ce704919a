/* SPDX-License-Identifier: ISC */
/* Events as text: name, then the format of trace.def filled in. */
#include <notafs/host.h>

#include <stdio.h>

#include "notafs/platform/trace.h"

static const struct trace_row {
    const char *name;
    const char *format;
} trace_rows[] = {
#define NF_EVENT(id, format, level) [NF_EV_##id] = {#id, format},
#include "notafs/platform/trace.def"
#undef NF_EVENT
};

void nf_trace_stderr(void *ctx, const struct nf_event *event)
{
    char text[256];

    (void)ctx;
    if (event->id >= sizeof(trace_rows) / sizeof(trace_rows[0])) {
        fprintf(stderr, "notafs: event %u\n", (unsigned)event->id);
        return;
    }
    const struct trace_row *row = &trace_rows[event->id];
    snprintf(text, sizeof(text), row->format, (unsigned long long)event->a,
             (unsigned long long)event->b, (unsigned long long)event->c);
    fprintf(stderr, "notafs: %s: %s\n", row->name, text);
}
