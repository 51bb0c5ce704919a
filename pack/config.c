/* SPDX-License-Identifier: ISC */
/*
 * Configurations by name (spec 4.1): presets, each kv64 with some changes, and
 * changes as text. The names are those of the golden data; every key has the
 * manifests' long name, too.
 */
#include <notafs/pack.h>

#include <string.h>

static const struct pk_config config_kv64 = {
    .hash = "blake2b",
    .hash_len = 64,
    .entries = 32,
    .stable_hash = 256,
    .schema = PK_SCHEMA_KV,
    .order = PK_ORDER_SEEDED_HASH,
    .contents_header = true,
    .forbid_empty = false,
};

/* A preset is its changes to kv64. The first of those that are equal is the
 * name that a configuration is printed with. */
static const struct {
    const char *name;
    const char *changes;
} config_presets[] = {
    {"kv64", ""},
    {"kv32", "hash=blake2b32"},
    {"tezos", "schema=tezos,hash=blake2b32,forbid=true"},
    {"sha1", "schema=v2,hash=sha1,forbid=true"},
    {"small", "schema=v2,hash=sha1,entries=2,stable=3,order=hash_bits"},
    {"smallseeded", "entries=2,stable=3"},
    {"hashbits", "order=hash_bits"},
    {"nohdr", "hdr=none"},
    {"irmin", ""},
    {"irmin-32", "hash=blake2b32"},
};

enum { CONFIG_N_PRESETS = 8 }; /* without the aliases at the end */

static const struct {
    const char *name;
    const char *family;
    uint32_t len;
} config_hashes[] = {
    {"sha1", "sha1", 20},        {"sha256", "sha256", 32},
    {"sha512", "sha512", 64},    {"sha224", "sha224", 28},
    {"sha384", "sha384", 48},    {"rmd160", "rmd160", 20},
    {"ripemd160", "rmd160", 20}, {"blake2b", "blake2b", 64},
    {"blake2s", "blake2s", 32},
};

static bool slice_is(struct pk_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static bool slice_number(struct pk_slice s, uint32_t *ret)
{
    uint32_t n = 0;

    if (s.len == 0 || s.len > 9) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        n = n * 10 + (uint32_t)(s.p[i] - '0');
    }
    *ret = n;
    return true;
}

static bool config_set_hash(struct pk_config *config, struct pk_slice value)
{
    static const char *const sized[] = {"blake2b", "blake2s"};
    struct pk_slice digits;
    uint32_t len;

    for (size_t i = 0; i < sizeof(config_hashes) / sizeof(*config_hashes);
         i++) {
        if (slice_is(value, config_hashes[i].name)) {
            memset(config->hash, 0, sizeof(config->hash));
            memcpy(config->hash, config_hashes[i].family,
                   strlen(config_hashes[i].family));
            config->hash_len = config_hashes[i].len;
            return true;
        }
    }
    for (size_t i = 0; i < 2; i++) { /* with a digest size behind */
        if (value.len <= 7 || memcmp(value.p, sized[i], 7) != 0) {
            continue;
        }
        digits = (struct pk_slice){value.p + 7, value.len - 7};
        if (slice_number(digits, &len) && len >= 1 &&
            len <= (i == 0 ? 64 : 32)) {
            memset(config->hash, 0, sizeof(config->hash));
            memcpy(config->hash, sized[i], 7);
            config->hash_len = len;
            return true;
        }
    }
    return false;
}

static bool config_set_schema(struct pk_config *config, struct pk_slice value)
{
    static const char *const names[] = {"kv", "v2", "tezos"};

    for (unsigned i = 0; i < 3; i++) {
        if (slice_is(value, names[i])) {
            config->schema = (enum pk_schema)i;
            return true;
        }
    }
    return false;
}

static bool value_bool(struct pk_slice value, const char *yes, const char *no,
                       bool *ret)
{
    if (slice_is(value, yes) || slice_is(value, "true")) {
        *ret = true;
        return true;
    }
    if (slice_is(value, no) || slice_is(value, "none") ||
        slice_is(value, "false")) {
        *ret = false;
        return true;
    }
    return false;
}

static bool config_set(struct pk_config *config, struct pk_slice key,
                       struct pk_slice value)
{
    uint32_t n = 0;

    if (slice_is(key, "schema")) {
        return config_set_schema(config, value);
    }
    if (slice_is(key, "hash")) {
        return config_set_hash(config, value);
    }
    if (slice_is(key, "entries")) {
        bool ok = slice_number(value, &n) && n >= 2 && n <= 1024 &&
                  (n & (n - 1)) == 0;

        config->entries = n;
        return ok;
    }
    if (slice_is(key, "stable") || slice_is(key, "stable_hash")) {
        bool ok = slice_number(value, &n);

        config->stable_hash = n;
        return ok;
    }
    if (slice_is(key, "order") || slice_is(key, "inode_child_order")) {
        bool bits = slice_is(value, "hash_bits") || slice_is(value, "hashbits");

        config->order = bits ? PK_ORDER_HASH_BITS : PK_ORDER_SEEDED_HASH;
        return bits || slice_is(value, "seeded_hash") ||
               slice_is(value, "seeded");
    }
    if (slice_is(key, "hdr") || slice_is(key, "contents_length_header")) {
        return value_bool(value, "varint", "null", &config->contents_header);
    }
    if (slice_is(key, "forbid") ||
        slice_is(key, "forbid_empty_dir_persistence")) {
        return value_bool(value, "yes", "no", &config->forbid_empty);
    }
    return false;
}

/* Text up to the next of two separators, which is passed over. */
static struct pk_slice config_word(const char **text, char sep1, char sep2)
{
    struct pk_slice word = {(const uint8_t *)*text, 0};

    while ((*text)[0] != '\0' && (*text)[0] != sep1 && (*text)[0] != sep2) {
        (*text)++;
        word.len++;
    }
    return word;
}

static bool config_changes(struct pk_config *config, const char *text)
{
    while (*text != '\0') {
        struct pk_slice key = config_word(&text, '=', ',');
        struct pk_slice value;

        if (*text != '=') {
            return false;
        }
        text++;
        value = config_word(&text, ',', ',');
        if (!config_set(config, key, value)) {
            return false;
        }
        text += *text == ',';
    }
    return true;
}

const char *pk_config_preset(size_t i)
{
    return i < CONFIG_N_PRESETS ? config_presets[i].name : NULL;
}

int pk_config_parse(const char *text, struct pk_config *ret_config)
{
    struct pk_config config = config_kv64;
    const char *rest = text;
    struct pk_slice first = config_word(&rest, '=', ',');

    if (*rest != '=') {
        size_t n = sizeof(config_presets) / sizeof(*config_presets);
        size_t i = 0;

        while (i < n && !slice_is(first, config_presets[i].name)) {
            i++;
        }
        if (i == n || !config_changes(&config, config_presets[i].changes)) {
            return NF_EC_CONFIG;
        }
        text = rest + (*rest == ',');
    }
    if (!config_changes(&config, text)) {
        return NF_EC_CONFIG;
    }
    *ret_config = config;
    return 0;
}

struct config_out {
    char *p;
    size_t cap;
    size_t len;
};

static void out_text(struct config_out *out, const char *text)
{
    for (; *text != '\0' && out->len + 1 < out->cap; text++) {
        out->p[out->len++] = *text;
    }
    if (out->cap > 0) {
        out->p[out->len] = '\0';
    }
}

static void out_number(struct config_out *out, uint32_t n)
{
    char digits[11];
    size_t at = sizeof(digits) - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    out_text(out, digits + at);
}

static bool config_equal(const struct pk_config *a, const struct pk_config *b)
{
    return memcmp(a->hash, b->hash, sizeof(a->hash)) == 0 &&
           a->hash_len == b->hash_len && a->entries == b->entries &&
           a->stable_hash == b->stable_hash && a->schema == b->schema &&
           a->order == b->order && a->contents_header == b->contents_header &&
           a->forbid_empty == b->forbid_empty;
}

void pk_config_print(const struct pk_config *config, char *buf, size_t cap)
{
    static const char *const schemas[] = {"kv", "v2", "tezos"};
    struct config_out out = {buf, cap, 0};
    struct pk_config preset = config_kv64;

    for (size_t i = 0; i < CONFIG_N_PRESETS; i++) {
        if (pk_config_parse(config_presets[i].name, &preset) == 0 &&
            config_equal(&preset, config)) {
            out_text(&out, config_presets[i].name);
            return;
        }
    }
    out_text(&out, "schema=");
    out_text(&out, schemas[config->schema]);
    out_text(&out, ",hash=");
    out_text(&out, config->hash);
    if (memcmp(config->hash, "blake2", 6) == 0) {
        out_number(&out, config->hash_len);
    }
    out_text(&out, ",entries=");
    out_number(&out, config->entries);
    out_text(&out, ",stable=");
    out_number(&out, config->stable_hash);
    out_text(&out, config->order == PK_ORDER_HASH_BITS ? ",order=hash_bits"
                                                       : ",order=seeded_hash");
    out_text(&out, config->contents_header ? ",hdr=varint" : ",hdr=none");
    out_text(&out, config->forbid_empty ? ",forbid=true" : ",forbid=false");
}
