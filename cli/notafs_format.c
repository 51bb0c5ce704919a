/* SPDX-License-Identifier: ISC */
/*
 * The verbs on a disk as a whole: format, info and resize.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/notafs_cli.h"

/* ---- format --------------------------------------------------------- */

int cli_format_options(struct cli *cli, struct nf_format_options *ret,
                       uint32_t *ret_page_size)
{
    static const struct {
        const char *name;
        enum nf_checksum checksum;
    } names[] = {
        {"XXH3-64", NF_CHECKSUM_XXH3},     {"XXH3", NF_CHECKSUM_XXH3},
        {"ADLER-32", NF_CHECKSUM_ADLER32}, {"ADLER32", NF_CHECKSUM_ADLER32},
        {"NO-CHECK", NF_CHECKSUM_NONE},    {"NONE", NF_CHECKSUM_NONE},
    };
    const char *profile = cli->options[CLI_PROFILE].text;
    const char *checksum = cli->options[CLI_CHECKSUM].text;
    memset(ret, 0, sizeof(*ret));
    if (profile != NULL && strcmp(profile, "mirage") == 0) {
        ret->profile = NF_PROFILE_MIRAGE;
    } else if (profile != NULL && strcmp(profile, "native") != 0) {
        return cli_fail_usage(cli, "'%s' is no profile: native or mirage",
                              profile);
    }
    for (size_t i = 0; checksum != NULL && i < sizeof(names) / sizeof(names[0]);
         i++) {
        if (strcasecmp(checksum, names[i].name) == 0) {
            ret->checksum = names[i].checksum;
        }
    }
    if (checksum != NULL && ret->checksum == NF_CHECKSUM_DEFAULT) {
        return cli_fail_usage(
            cli, "'%s' is no checksum: XXH3-64, ADLER-32 or NO-CHECK",
            checksum);
    }
    if ((ret->checksum == NF_CHECKSUM_XXH3) ==
            (ret->profile == NF_PROFILE_MIRAGE) &&
        ret->checksum != NF_CHECKSUM_DEFAULT) {
        return cli_fail_usage(cli, "%s disks have no %s checksums",
                              cli_profile_name(ret->profile),
                              cli_checksum_name(ret->checksum));
    }
    uint64_t page_size = ret->profile == NF_PROFILE_MIRAGE ? 512 : 4096;
    uint64_t max = ret->profile == NF_PROFILE_MIRAGE ? 4096 : 65536;
    if (cli_has(cli, CLI_PAGE_SIZE)) {
        page_size = cli->options[CLI_PAGE_SIZE].number;
    }
    if (page_size < 512 || page_size > max ||
        (page_size & (page_size - 1)) != 0) {
        return cli_fail_usage(
            cli, "page sizes of %s disks are powers of two, 512 to %" PRIu64,
            cli_profile_name(ret->profile), max);
    }
    *ret_page_size = (uint32_t)page_size;
    return 0;
}

/* Make the image file as long as --size says. */
static int make_image(struct cli *cli)
{
    const char *path = cli->options[CLI_DISK].text;
    uint64_t size = cli->options[CLI_SIZE].number;
    if (path == NULL || size > INT64_MAX) {
        return cli_fail_usage(cli, path == NULL ? "-d DISK is missing"
                                                : "--size is too large");
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return cli_fail_errno(cli, path);
    }
    int status = 0;
    if (ftruncate(fd, (off_t)size) < 0) {
        status = cli_fail_errno(cli, path);
    }
    close(fd);
    return status;
}

int cli_verb_format(struct cli *cli)
{
    struct nf_format_options options;
    uint32_t page_size;
    int status = cli_format_options(cli, &options, &page_size);
    if (status == 0 && cli_has(cli, CLI_SIZE)) {
        status = make_image(cli);
    }
    if (status == 0) {
        status = cli_device_open(cli, page_size, CLI_WRITE);
    }
    if (status != 0) {
        return status;
    }
    const char *path = cli->options[CLI_DISK].text;
    int res = nf_format(bd_file_bd(cli->device), &cli->env, &options);
    if (res == NF_EINVAL) {
        return cli_fail_text(cli,
                             "%s: %" PRIu64 " bytes are too small (or too "
                             "large) for pages of %" PRIu32 " bytes",
                             path, bd_file_len(cli->device), page_size);
    }
    if (res < 0) {
        return cli_fail(cli, res, path);
    }
    printf("Disk at ");
    cli_print_quoted(stdout, path);
    printf(" succesfully formatted\n"); /* sic: scripts may look for it */
    return 0;
}

/* ---- info ----------------------------------------------------------- */

/* A size as the OCaml program rounds it. */
static void print_space(uint64_t bytes)
{
    static const char *const units[] = {"b", "kb", "mb", "gb"};
    size_t unit = 0;
    while (bytes >= 1024 && unit < 3) {
        bytes /= 1024;
        unit++;
    }
    printf("%" PRIu64 "%s", bytes, units[unit]);
}

int cli_verb_info(struct cli *cli)
{
    if (cli->n_operands == 1) {
        cli->options[CLI_DISK].text = cli->operands[0];
    }
    int status = cli_probe(cli, CLI_READ);
    if (status != 0) {
        return status;
    }
    const struct nf_disk *disk = &cli->disk;
    if (cli_has(cli, CLI_JSON)) {
        return cli_print_json(cli, cli_json_disk(disk));
    }
    printf("Sector size: ");
    print_space(disk->page_size);
    printf("\nDisk space: ");
    print_space(disk->page_count * disk->page_size);
    printf(" (%" PRIu64 " sectors)\n", disk->page_count);
    printf("Checksum: %s with %" PRIu32 " bits\n",
           cli_checksum_name(disk->checksum), 8 * disk->checksum_len);
    if (disk->profile == NF_PROFILE_NATIVE) {
        printf("Profile: native\n"); /* the OCaml program has but one */
    }
    if (disk->write_features != 0) {
        cli_warn(cli, "a newer version made this disk: it can only be read");
    }
    if (disk->header_damaged) {
        cli_warn(cli, "the first copy of the header is damaged");
    }
    return 0;
}

/* ---- resize --------------------------------------------------------- */

/* Set the length of an image file; devices have theirs. */
static int set_file_len(struct cli *cli, uint64_t len)
{
    const char *path = cli->options[CLI_DISK].text;
    struct stat st;
    if (stat(path, &st) < 0 ||
        (S_ISREG(st.st_mode) && truncate(path, (off_t)len) < 0)) {
        return cli_fail_errno(cli, path);
    }
    return 0;
}

static int resize_mounted(struct cli *cli, uint64_t page_count)
{
    int res = nf_resize(cli->nf, page_count);
    if (res == 0) {
        return cli_commit(cli);
    }
    const char *path = cli->options[CLI_DISK].text;
    if (nf_err_class(res) == NF_EBUSY) {
        return cli_fail_text(cli,
                             "%s: page %" PRIu64 " is in use, too far "
                             "back for a disk of %" PRIu64 " pages",
                             path, nf_last_error(cli->nf)->page, page_count);
    }
    if (nf_err_class(res) == NF_ERANGE) {
        bool large = page_count > bd_file_bd(cli->device)->geo.page_count;
        return cli_fail_text(cli, "%s: %" PRIu64 " pages are too %s", path,
                             page_count,
                             large ? "many for the device" : "few for a disk");
    }
    return cli_fail(cli, res, path);
}

int cli_verb_resize(struct cli *cli)
{
    uint64_t len = 0;
    if (cli->n_operands == 1 &&
        (!cli_parse_size(cli->operands[0], &len) || len > INT64_MAX)) {
        return cli_fail_usage(cli, "'%s' is not a size", cli->operands[0]);
    }
    int status = cli_probe(cli, CLI_WRITE);
    if (status != 0) {
        return status;
    }
    if (cli->disk.profile == NF_PROFILE_MIRAGE) {
        return cli_fail_text(cli, "%s: mirage disks keep their size",
                             cli->options[CLI_DISK].text);
    }
    uint64_t old_len = bd_file_len(cli->device);
    uint32_t page_size = cli->disk.page_size;
    uint64_t page_count = (cli->n_operands == 1 ? len : old_len) / page_size;
    len = page_count * page_size;
    if (len > old_len) {
        status = set_file_len(cli, len);
        int res = bd_file_set_page_size(cli->device, page_size);
        if (status == 0 && res < 0) {
            status = cli_fail(cli, res, cli->options[CLI_DISK].text);
        }
    }
    if (status == 0) {
        int res = cli_mount(cli, 0, 0);
        status = res < 0 ? cli_fail(cli, res, cli->options[CLI_DISK].text)
                         : resize_mounted(cli, page_count);
    }
    /* The file follows the disk, or goes back to where it was. The lock holds
     * until the device is closed. */
    if (status == 0 && len < old_len && cli->n_operands == 1) {
        status = set_file_len(cli, len);
    } else if (status != 0 && len > old_len) {
        (void)set_file_len(cli, old_len); /* a longer file does no harm */
    }
    if (status == 0) {
        char size[CLI_SIZE_LEN];
        printf("Disk at ");
        cli_print_quoted(stdout, cli->options[CLI_DISK].text);
        printf(" has %" PRIu64 " pages now (%s)\n", page_count,
               cli_size(size, len));
    }
    return status;
}
