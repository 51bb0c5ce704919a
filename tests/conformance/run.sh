#!/bin/bash
# run.sh BUILD_DIR SUITE: a suite of the conformance runs on the golden data.
set -u
shared=${NOTAFS_SHARED:-../shared}
if [[ ! -e $shared/conformance/run ]]; then
    echo "NOT CHECKED AGAINST THE REAL PROGRAMS: there is no $shared"
    [[ -n ${NOTAFS_REQUIRE_SHARED:-} ]] && exit 1
    exit 77
fi
exec "$shared/conformance/run" "$1" "$2"
