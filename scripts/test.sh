#!/bin/bash
# Builds the programs and the tests, runs all tests, and says on the last line how many passed and failed. Needs the
# Debian packages of 'make packages'.
#
#   scripts/test.sh [FILTER]     only the tests whose names match FILTER
#
# One test at a time: many of them start real programs and time them, and want the computer for themselves.
set -uo pipefail
cd "$(dirname "$0")/.."
filter=${1:-}
lab='RoostLabTests|PlanetTests'
rooms_limit=30m
lab_limit=45m
# Optimised, since labs carry real traffic. Tests look inside rooms, so those are built to be looked into.
build=(-c release --scratch-path .build/testing -Xswiftc -enable-testing)

log=$(mktemp /tmp/roost-test.XXXXXX)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0

count() { grep -E "^$1 Test .* $2 ?(after|[.:])" "$log" | grep -vcE '^. Test run with ' || true; }

# Runs one part; a part that ends badly without a failed test (a crash, a time-out) counts as one failure.
part() {
    local name=$1 limit=$2 status
    shift 2
    echo "== $name"
    timeout --kill-after=30s "$limit" swift test "${build[@]}" --skip-build --disable-xctest "$@" 2>&1 </dev/null |
        tee "$log" | grep -vE '^◇ (Test|Suite) .* started\.$'
    status=${PIPESTATUS[0]}
    local bad
    bad=$(count ✘ failed)
    passed=$((passed + $(count ✔ passed)))
    skipped=$((skipped + $(count ➜ skipped)))
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        echo "$name ended with status $status" >&2
        bad=1
    fi
    failed=$((failed + bad))
}

# The program that runs in a machine's image, where there is no Swift, and the image with it.
prepare() {
    swift build "${build[@]}" --build-tests && make --no-print-directory bin/roost-pg || return 1
    export ROOST_BIN=$PWD/.build/testing/bin
    mkdir -p "$ROOST_BIN"
    for program in .build/testing/release/roost{,d,-edge,-wan}; do
        [ ! -x "$program" ] || ln -sf "$PWD/$program" "$ROOST_BIN/"
    done
    ln -sf "$PWD/bin/roost-pg" "$ROOST_BIN/" && "$ROOST_BIN/roost" image build postgres --program "$PWD/bin/roost-pg"
}

prepare || { echo "0 passed, 1 failed"; exit 1; }
if [ -n "$filter" ]; then
    part "tests that match $filter" "$lab_limit" --no-parallel --filter "$filter"
else
    part "the rooms" "$rooms_limit" --no-parallel --skip "$lab"
    part "the lab" "$lab_limit" --no-parallel --filter "$lab"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
