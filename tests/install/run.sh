#!/bin/bash
# What `meson install` leaves is complete, and a program builds with it.
#   run.sh ROOT BUILD_DIR PREFIX CC...
set -u
root=$1 build=$2 prefix=$3 cc=("${@:4}")
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
passed=0 failed=0
verdict() { # 0 or 1, the case's name
    if (($1 == 0)); then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED $2"; fi
}
same_files() { # a folder of ours, where it is installed
    diff -rN -x README.md "$root/$1" "$2" >&2
    verdict $? "$1"
}

meson install -C "$build" --no-rebuild --quiet --destdir "$work" >&2
verdict $? 'meson install'
same_files include/notafs "$work$prefix/include/notafs"
same_files man "$work$prefix/share/man/man1"
same_files completions "$work$prefix/share/bash-completion/completions"

cat >"$work/use.c" <<'C'
#include <stdio.h>
#include <string.h>

#include <notafs/bd_mem.h>
#include <notafs/host.h>

int main(void)
{
    static uint8_t disk[4096];
    uint8_t page[512] = "seen";
    struct bd_mem mem;
    struct bd bd;
    struct nf_env env;

    nf_env_libc(&env);
    void *p = env.alloc(env.ctx, 10, 8);
    env.free(env.ctx, p, 10);
    if (bd_mem_init(&bd, &mem, disk, sizeof(disk), 512) != 0 ||
        bd_write(&bd, 7, 1, page) != 0) {
        return 1;
    }
    puts((const char *)disk + 7 * 512);
    return 0;
}
C
PKG_CONFIG_PATH=$(dirname "$(find "$work" -name notafs.pc)")
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR=$work
# The words of pkg-config are options, to be split.
# shellcheck disable=SC2046
"${cc[@]}" -std=c11 -o "$work/use" "$work/use.c" $(pkg-config --static --cflags --libs notafs-host) >&2 &&
    [[ $("$work/use") == seen ]]
verdict $? 'a program that uses it'

echo "$passed passed, $failed failed"
((failed == 0))
