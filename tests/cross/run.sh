#!/bin/bash
# A slice of the core's tests on another machine, which must also write the same
# bytes: run.sh ROOT 32bit|bigendian SAME_BYTES
set -u
root=$1 name=$2 here=$3 build=$1/build/$2
cc=$(sed -n "s/^c = '\(.*\)'/\1/p" "$root/tests/cross/$name.ini")
PATH=/usr/lib/ccache:$PATH
command -v "$cc" >/dev/null || { echo "there is no $cc"; exit 77; }
if [[ ! -e $build/build.ninja ]]; then
    meson setup "$build" "$root" --cross-file "$root/tests/cross/$name.ini" \
        --buildtype=debugoptimized >&2 || exit 1
fi
ninja -C "$build" slice >&2 || exit 1
meson test -C "$build" --no-rebuild --suite slice --print-errorlogs >&2
python3 "$root/tests/tally.py" "$build/meson-logs/testlog.json" || exit 1

wrapper=$(sed -n "s/^exe_wrapper = '\(.*\)'/\1/p" "$root/tests/cross/$name.ini")
digests() { grep '^same '; }
# The wrapper is empty, or one word.
# shellcheck disable=SC2086
diff <("$here" | digests) <($wrapper "$build/tests/cross/same_bytes" | digests)
