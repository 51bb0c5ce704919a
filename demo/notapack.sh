#!/bin/bash
# SPDX-License-Identifier: ISC
# Notapack in a minute: notapack.sh NOTAPACK [DIRECTORY]
# A disk image with a versioned store on it. Everything happens in a temporary
# folder; DIRECTORY (default: /usr/include; one with assert.h, stdio.h and
# linux) is only read. Ends with status 0 if all that came back is what went in.
set -euo pipefail
notapack=$(realpath "$1") source=$(realpath "${2:-/usr/include}")
notafs=$(dirname "$notapack")/notafs
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work"
export NOTAPACK_AUTHOR=demo

bold='' blue='' plain=''
[[ -t 2 ]] && bold=$'\033[1m' blue=$'\033[36m' plain=$'\033[0m'
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain" >&2; }
try() { # a command on the store, shown and run
    printf '%s$ notapack -s disk.img:store %s%s\n' "$blue" "$*" "$plain" >&2
    "$notapack" -s disk.img:store "$@"
}
ask() { "$notapack" -s disk.img:store "$@"; }

say 'A disk image of a gigabyte, and a store on it'
"$notafs" format -d disk.img --size 1g
try init --config irmin-32

say "All of $source as a commit on main"
try import "$source" include -m 'the headers'
try stat | grep -E '^(config|files|directories|bytes|widest|index_entries)'
first=$(ask log -n 1 --json | sed -n 's/^  "hash": "\(.*\)",/\1/p' | head -n 1)

say 'A branch with changes, while main goes on'
try branch work
try set README 'what this is' -b work -m 'explain'
try rm include/linux -b work -m 'no kernel'
try set include/stdio.h '/* rewritten */' -b work -m 'rewrite'
try set VERSION 1 -m 'number it'

say 'Both changed the same file: told, and nothing happens'
try set include/stdio.h '/* another way */' -m 'rewrite it differently'
! try merge work
say 'One side is given way to'
try merge work --prefer theirs -m 'merge work'
try log -n 3
try diff "$first" main | grep -v '^D /include/linux/' || true

say 'A proof that stdio.h is what it is, for those without the store'
root=$(ask show --json | sed -n 's/^ "root": "\(.*\)",/\1/p' | head -n 1)
try proof make stdio.proof 'get include/stdio.h'
ls -l stdio.proof | awk '{ print $5, "bytes, of a tree of this many files:" }'
ask stat | grep ^files
"$notapack" --config irmin-32 --root "$root" proof verify stdio.proof \
    'get include/stdio.h'

say 'Garbage: what is older than the merge'
try gc --heads

say 'Is every object and every page whole?'
try check
"$notafs" check -d disk.img

if [[ -c /dev/fuse ]] && command -v fusermount3 >/dev/null; then
    say 'The same as a file system'
    mkdir mnt
    try mount -f mnt &
    mounted=$!
    trap 'fusermount3 -uq mnt || :; rm -rf "$work"' EXIT
    until [[ -d mnt/live ]]; do sleep 0.1; done
    ls mnt/live mnt/live/main
    cmp mnt/live/main/include/assert.h "$source/assert.h"
    fusermount3 -u mnt
    wait "$mounted"
fi

say 'Out again, and compared'
try export out
# Links were left out; the rest differs by what was changed above.
diff -r --no-dereference "$source" out/include |
    grep -v -e "^Only in $source" -e 'stdio.h' -e '^[<>-]' -e '^[0-9]' \
        -e '^\\ No newline' \
        >differences || true
if [[ -s differences || $(cat out/include/stdio.h) != '/* rewritten */' ||
    -e out/include/linux || $(cat out/README) != 'what this is' ]]; then
    cat differences
    exit 1
fi
say 'All files are equal to the byte, but for those that were changed.'
