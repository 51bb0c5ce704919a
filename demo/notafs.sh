#!/bin/bash
# SPDX-License-Identifier: ISC
# Notafs in two minutes: notafs.sh NOTAFS [DIRECTORY]
# Everything happens in a temporary folder; DIRECTORY (default: /usr/include) is
# only read. Ends with status 0 if all that came back is what went in.
set -euo pipefail
notafs=$(realpath "$1") source=$(realpath "${2:-/usr/include}")
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work"

bold='' blue='' plain=''
[[ -t 2 ]] && bold=$'\033[1m' blue=$'\033[36m' plain=$'\033[0m'
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain" >&2; }
try() { # a command of notafs, shown and run
    printf '%s$ notafs %s%s\n' "$blue" "$*" "$plain" >&2
    "$notafs" "$@"
}
quietly() { # the same, with two of the messages about links that are left out
    try "$@" 2> >(sed '4,$d' >&2)
}

say 'A disk image of a gigabyte (it could be a raw device)'
try format -d disk.img --size 1g
try info disk.img

say "One transaction: all of $source"
quietly import -d disk.img "$source" tree
try stats -d disk.img
first=$("$notafs" stats -d disk.img --json | sed -n 's/.*"generation": \([0-9]*\).*/\1/p')

say 'Changes, each a commit'
head -c 3000000 /dev/urandom >noise
try copy -d disk.img noise @new/noise
try remove -d disk.img tree/linux
try rename -d disk.img new/noise new/random
try list -d disk.img new

say 'Older generations are still there'
try generations -d disk.img
try list -d disk.img --generation "$first" tree/linux | tail -n 3

say 'Is every page accounted for, and every checksum right?'
try check -d disk.img

say 'What the disk looks like'
try map -d disk.img

say 'Back to the first import, as a new generation'
try generations -d disk.img --restore "$first"
try check -d disk.img

say 'Out again, and compared with the source'
try export -d disk.img tree out
try export -d disk.img tree - | tar tf - | tail -n 2
# Links were left out; everything else must be equal to the byte.
if diff -r --no-dereference "$source" out | grep -v "^Only in $source" >differences; then
    cat differences
    exit 1
fi
say 'All files are equal to the byte.'
