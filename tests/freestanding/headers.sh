#!/bin/bash
# Each header compiles alone, and twice; public ones as C++ too.
#   headers.sh ROOT CC... -- CXX...
set -u
cd "$1" || exit 1
shift
while (($#)) && [[ $1 != -- ]]; do cc+=("$1"); shift; done
cxx=("${@:2}")
passed=0 failed=0
compiles() { # header, compiler...
    if printf '#include "%s"\n#include "%s"\ntypedef int nothing;\n' "$1" "$1" | "${@:2}" -I. -Iinclude -Wall -Wextra -Werror \
        -pedantic-errors -fsyntax-only -; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $1: ${*:2}"
    fi
}
read -ra fuse < <(pkg-config --cflags fuse3)
while read -r header; do
    [[ $header == fuse/* && ${#fuse[@]} -eq 0 ]] && continue # nor is it built
    compiles "$header" "${cc[@]}" "${fuse[@]/#-I/-isystem}" -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -std=c11 -x c
    [[ $header == include/* ]] &&
        compiles "${header#include/}" "${cxx[@]}" -std=c++11 -x c++
done < <(find include notafs pack host cli fuse inspect bench tests/support -name '*.h' 2>/dev/null | sort)
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
