/* SPDX-License-Identifier: ISC */
/* A configuration as text, from anywhere. What is understood is printed as text
 * that means the same. */
#include <string.h>

#include <notafs/pack.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pk_config config;
    struct pk_config again;
    char text[200];
    char printed[200];

    if (size >= sizeof(text)) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    memset(&config, 0, sizeof(config));
    memset(&again, 0, sizeof(again));
    if (pk_config_parse(text, &config) == 0) {
        fuzz_check(config.hash_len > 0 && config.hash_len <= PK_HASH_MAX_LEN);
        fuzz_check(config.entries >= 2 && config.entries <= 1024);
        pk_config_print(&config, printed, sizeof(printed));
        fuzz_check(pk_config_parse(printed, &again) == 0);
        fuzz_check(strcmp(config.hash, again.hash) == 0);
        fuzz_check(config.hash_len == again.hash_len &&
                   config.entries == again.entries &&
                   config.stable_hash == again.stable_hash &&
                   config.schema == again.schema &&
                   config.order == again.order &&
                   config.contents_header == again.contents_header &&
                   config.forbid_empty == again.forbid_empty);
    }
    return 0;
}
