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

# The program is README's example, so it is one that works.
sed -n '/^```c$/,/^```$/{/^```/d;p}' "$root/README.md" >"$work/hello.c"
PKG_CONFIG_PATH=$(dirname "$(find "$work" -name notafs.pc)")
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR=$work
# The words of pkg-config are options, to be split.
# shellcheck disable=SC2046
"${cc[@]}" -std=c11 -o "$work/hello" "$work/hello.c" $(pkg-config --static --cflags --libs notafs-host) >&2 &&
    truncate -s 1M "$work/disk.img" && (cd "$work" && ./hello) &&
    [[ $("$work$prefix/bin/notafs" cat -d "$work/disk.img" hello) == world ]]
verdict $? "README's example, with what is installed"
# Its first commit comes soon: lines that are not empty, up to that one.
lines=$(sed '/nf_sync/q' "$work/hello.c" | grep -c .)
((lines <= 15))
verdict $? "a first commit in 15 lines, not $lines"

# A port of one's own needs the core alone, and not many lines.
# shellcheck disable=SC2046
for pc in notafs notafs-core; do
    "${cc[@]}" -std=c11 -D_GNU_SOURCE -o "$work/count" "$root/examples/linux/main.c" \
        $(pkg-config --cflags --libs $pc) >&2 && truncate -s 0 "$work/count.img" &&
        truncate -s 1M "$work/count.img" && "$work/count" "$work/count.img" >&2 &&
        "$work/count" "$work/count.img" >&2 &&
        [[ $("$work$prefix/bin/notafs" cat -d "$work/count.img" count) == 2 ]]
    verdict $? "examples/linux, with $pc"
done
(($(wc -l <"$root/examples/linux/main.c") < 100))
verdict $? 'a port in under a hundred lines'

echo "$passed passed, $failed failed"
((failed == 0))
