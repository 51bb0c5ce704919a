/* SPDX-License-Identifier: ISC */
/* Pack entries as objects: found, read, verified, appended. */
#ifndef PK_OBJECTS_H
#define PK_OBJECTS_H

#include "pack/manager.h"

/* The front of the entry at off. Errors: NF_EC_NO_OBJECT, NF_EC_ENTRY. */
NF_MUST_USE int pk_object_head(struct pk_store *store, uint64_t off,
                               struct pk_head *ret);

/* Kind and hash of the entry at off, as its front says. Errors: as above. */
NF_MUST_USE int pk_object_hash(struct pk_store *store, uint64_t off,
                               uint8_t *ret_kind, struct pk_digest *ret_hash);

/* The whole entry at off, into store->entry_buf. For entries without length
 * header at least min_len bytes, or all up to the end. */
NF_MUST_USE int pk_object_read(struct pk_store *store, uint64_t off,
                               size_t min_len, struct pk_head *ret_head);

/* Find an object by its hash: in the index, and readable where that says.
 * commit: of that kind, or else of another. Errors: NF_EC_NO_OBJECT;
 * NF_EC_COLLECTED; NF_EC_INDEX: something else is there. */
NF_MUST_USE int pk_object_find(struct pk_store *store,
                               const struct pk_digest *hash, bool commit,
                               uint64_t *ret_off, uint8_t *ret_kind);

/* The contents at off, verified against its hash and, where not NULL, the one
 * that is expected. Errors: NF_EC_HASH. */
NF_MUST_USE int pk_contents_read(struct pk_store *store, uint64_t off,
                                 const struct pk_digest *expected,
                                 struct pk_bytes *ret_bytes);

/* Length of the contents at off. */
NF_MUST_USE int pk_contents_length(struct pk_store *store, uint64_t off,
                                   uint64_t *ret_len);

/* The commit at off, verified. ret_root_off and parent_offs, where not NULL,
 * say where they are; NF_NOWHERE: not in the store. Release the commit, and
 * the offsets with it, by pk_commit_release. Errors: NF_EC_HASH. */
struct pk_commit_at {
    struct pk_commit *commit;
    uint8_t kind;
    uint64_t entry_len;
    uint64_t root_off;
    uint64_t *parent_offs;
    size_t size;
};
NF_MUST_USE int pk_commit_read(struct pk_store *store, uint64_t off,
                               struct pk_commit_at *ret);
void pk_commit_release(struct pk_store *store, struct pk_commit_at *at);

/* Append an entry of kind with this hash; the body is what follows the kind.
 * Where the indexing strategy finds an equal object, that one is given.
 * Errors: NF_EROFS, NF_ENOMEM, NF_EIO: at most an object nobody names. */
NF_MUST_USE int pk_object_append(struct pk_store *store, uint8_t kind,
                                 const struct pk_digest *hash,
                                 const struct pk_slice *parts, size_t n_parts,
                                 uint64_t *ret_off);

/* As pk_object_append, of a commit, for whose hash the caller vouches. */
NF_MUST_USE int pk_commit_append(struct pk_store *store,
                                 const struct pk_digest *hash,
                                 const struct pk_addr *root,
                                 const struct pk_addr *parents, size_t n,
                                 const struct pk_info *info, uint64_t *ret_off);

/* The same, for a body that stands behind its length. */
NF_MUST_USE int pk_object_append_boxed(struct pk_store *store, uint8_t kind,
                                       const struct pk_digest *hash,
                                       struct pk_slice body, uint64_t *ret_off);

/* Does the strategy index entries of this kind (spec 6.4)? */
bool pk_object_is_indexed(const struct pk_store *store, uint8_t kind);

/* What pk_object_append would find. Errors: NF_EC_NO_OBJECT. */
NF_MUST_USE int pk_object_known(struct pk_store *store, uint8_t kind,
                                const struct pk_digest *hash,
                                uint64_t *ret_off);

#endif
