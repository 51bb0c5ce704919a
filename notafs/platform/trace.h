/* SPDX-License-Identifier: ISC */
/* Events of trace.def, sent to the embedder's hook. The core never prints. */
#ifndef NF_TRACE_H
#define NF_TRACE_H

#include <notafs/platform.h>

/* How often an event can happen, rarest first. */
enum nf_event_level {
    NF_LEVEL_MOUNT,
    NF_LEVEL_COMMIT,
    NF_LEVEL_OBJECT,
    NF_LEVEL_PAGE,
};

#define NF_EVENT(id, format, level) NF_EV_##id,
enum nf_event_id {
#include "notafs/platform/trace.def"
};
#undef NF_EVENT

static inline void nf_trace(const struct nf_env *env, enum nf_event_id id,
                            uint64_t a, uint64_t b, uint64_t c)
{
    if (env->trace != NULL) {
        const struct nf_event event = {(uint32_t)id, a, b, c};
        env->trace(env->ctx, &event);
    }
}

#endif
