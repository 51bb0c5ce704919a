/* SPDX-License-Identifier: ISC */
/* SHA-256 of files and bytes, by libgcrypt. */
#include <stdlib.h>
#include <string.h>

#include <gcrypt.h>

#include "cli/notafs_cli.h"

/* A running digest, or the end of the program. */
static gcry_md_hd_t digest_open(void)
{
    gcry_md_hd_t md;
    if (gcry_check_version(NULL) == NULL ||
        gcry_md_open(&md, GCRY_MD_SHA256, 0) != 0) {
        fputs("notafs: libgcrypt does not work\n", stderr);
        exit(CLI_EXIT_ERROR);
    }
    return md;
}

static void digest_close(gcry_md_hd_t md, char ret[CLI_SHA256_LEN])
{
    const uint8_t *sum = gcry_md_read(md, GCRY_MD_SHA256);
    for (size_t i = 0; i < (CLI_SHA256_LEN - 1) / 2; i++) {
        snprintf(ret + 2 * i, 3, "%02x", sum[i]);
    }
    gcry_md_close(md);
}

int cli_sha256_range(struct nf_file *file, uint64_t off, uint64_t len,
                     uint64_t *ret_len, char ret[CLI_SHA256_LEN])
{
    uint8_t *buf = cli_alloc(CLI_CHUNK);
    gcry_md_hd_t md = digest_open();
    uint64_t done = 0;
    size_t got = 1;
    int res = 0;
    while (done < len && got > 0) {
        size_t max = len - done < CLI_CHUNK ? (size_t)(len - done) : CLI_CHUNK;
        res = nf_read(file, off + done, buf, max, &got);
        if (res < 0) {
            break;
        }
        gcry_md_write(md, buf, got);
        done += got;
    }
    digest_close(md, ret);
    free(buf);
    *ret_len = done;
    return res;
}

int cli_sha256(struct nf_file *file, char ret[CLI_SHA256_LEN])
{
    uint64_t len;
    return cli_sha256_range(file, 0, UINT64_MAX, &len, ret);
}
