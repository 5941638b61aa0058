#!/bin/bash
# Builds the programs and the tests, runs all tests, and says on the last line how many passed and failed. Needs the
# Debian packages of 'make packages'.
#
#   scripts/test.sh [FILTER]     only the tests whose names match FILTER
#
# The rooms in four lanes beside each other: two start Postgres and etcd, and mostly wait for them (and go on with a lab each,
# of machines and of one host, where no failover is timed); one has the other adapters and services; the pure rooms only
# compute, have no clock to miss, and get what nobody else wants of the processors, until the others are done: of them, many
# tests at a time. In the other lanes, and in the labs, one at a time: many of them time real programs. The labs of many hosts
# begin when all but the pure rooms are done.
set -uo pipefail
cd "$(dirname "$0")/.."
filter=${1:-}
lab='^RoostLabTests|^PlanetTests'
databases='RoostPostgresTests|RoostStoreTests'
# By the names of their suites, so that both lanes take about as long.
early='RoostPostgresTests\.([A-N]|Ob)'
one_host='PlanetTests\.OneHostTests'
machines='PlanetTests\.MachinesOnPlanetTests'
pure="^($(ls Tests/Cores Tests/Model | grep Tests$ | paste -sd'|'))"
rooms_limit=30m
lab_limit=45m
# They get what the others leave, so they have the others' time, too.
pure_limit=90m
# Optimised, since labs carry real traffic. Tests look inside rooms, so those are built to be looked into.
# Without what only a debugger reads, which takes time and room.
build=(-c release --scratch-path .build/testing -Xswiftc -enable-testing -debug-info-format none)

logs=$(mktemp -d /tmp/roost-test.XXXXXX)
lanes=()
trap 'for lane in "${lanes[@]}"; do stop "$lane"; done; rm -rf "$logs"' EXIT
passed=0 failed=0 skipped=0

# Ends a process and all below it; one that was started with & is deaf to Ctrl-C. It stands still meanwhile: a lane whose part
# is ended would begin its next one.
stop() {
    local child
    kill -STOP "$1" 2>/dev/null
    for child in $(pgrep -P "$1"); do stop "$child"; done
    kill "$1" 2>/dev/null
    kill -CONT "$1" 2>/dev/null
}

# A process's children, and all below them.
below() {
    local child
    for child in $(pgrep -P "$1"); do echo "$child"; below "$child"; done
}

# The tests of a room that one of these lanes runs; another checkout's are none of ours.
tests_of() {
    local room=$1 lane
    shift
    for lane in "$@"; do below "$lane"; done | grep -Fxf - <(pgrep -f "Tests\.xctest.*$room")
}

# Runs one part, and leaves how it ended in the folder of logs.
run() {
    local name=$1 limit=$2
    shift 2
    echo "== $name"
    local began=$SECONDS
    # Line by line, so that a crash leaves on record what ran.
    ${apart:-} timeout --kill-after=30s "$limit" stdbuf -oL swift test "${build[@]}" --ignore-lock --skip-build --disable-xctest \
        "$@" 2>&1 </dev/null | tee "$logs/$name" | grep --line-buffered -vE '^◇ (Test|Suite) .* started\.$'
    echo "${PIPESTATUS[0]}" >"$logs/$name.status"
    echo "== $name took $((SECONDS - began)) s"
}

# Runs a command in a lane of its own, and returns when the tests of this room have begun: two lanes cannot read the build at
# the same moment.
beside() {
    local room=$1
    shift
    "$@" &
    lanes+=($!)
    for _ in $(seq 240); do
        [ -z "$(tests_of "$room" "${lanes[-1]}")" ] && kill -0 "${lanes[-1]}" 2>/dev/null || break
        sleep 0.5
    done
}

early_and_machines() {
    run early "$rooms_limit" --no-parallel --filter "$early"
    run machines "$lab_limit" --no-parallel --filter "$machines"
}

late_and_one_host() {
    run late "$rooms_limit" --no-parallel --skip "$early" --filter "$databases"
    run one_host "$lab_limit" --no-parallel --filter "$one_host"
}

# The pure rooms, in a session of their own: processors are shared out among sessions first, and machines that tests start have
# one each. Within a session of tests the idlest thread has as much as any machine where the tests themselves wait.
pure_rooms() { apart='setsid --wait' run pure "$pure_limit" --filter "$pure"; }

# Lets the tests of a room have what nobody else wants of the processors, and nothing where somebody wants all. A policy in
# front of 'swift test' does not reach them; threads that begin later have it from those that begin them.
yield_to_others() {
    local process thread
    for process in $(tests_of "$1" "${lanes[@]}"); do
        weigh_session 19 "$process"
        chrt --all-tasks --idle --pid 0 "$process" >/dev/null 2>&1 && continue
        # Where that is not allowed, as little as there is.
        for thread in "/proc/$process/task/"*; do renice -n 19 -p "${thread##*/}" >/dev/null 2>&1; done
    done
    true
}

# A session's share, by the kernel's automatic groups; where it has none, it shares out among threads.
weigh_session() { { echo "$1" >"/proc/$2/autogroup"; } 2>/dev/null || true; }

# The others are done.
take_turns_again() {
    local process
    for process in $(tests_of "$1" "${lanes[@]}"); do
        weigh_session 0 "$process"
        chrt --all-tasks --other --pid 0 "$process" >/dev/null 2>&1
        for thread in "/proc/$process/task/"*; do renice -n 0 -p "${thread##*/}" >/dev/null 2>&1; done
    done
    true
}

# A test that fails has one line for that, and one before it for each issue ("… recorded an issue …: Expectation failed: …").
count() { grep -E "^$1 Test .* $2 ?(after|[.:])" "$logs/$3" | grep -vcE '^. Test run with | recorded an issue ' || true; }

# Adds up what a part has printed; one that ends badly without a failed test (a crash, a time-out) counts as a failure.
tally() {
    local name=$1 status bad
    # None: whoever ran it was ended.
    status=$(cat "$logs/$name.status" 2>/dev/null || echo 1)
    bad=$(count ✘ failed "$name")
    passed=$((passed + $(count ✔ passed "$name")))
    skipped=$((skipped + $(count ➜ skipped "$name")))
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        echo "$name ended with status $status; begun last, and what a crash said:" >&2
        grep -E '^◇ Test ' "$logs/$name" | tail -n 1 >&2
        grep -nE -A 25 'Fatal error|^Thread .* crashed' "$logs/$name" | cut -c1-200 | head -n 60 >&2
        bad=1
    fi
    failed=$((failed + bad))
}

# What failed and why, once more and together: of a long output people are often shown the end alone.
recall() {
    local name
    for name in "$@"; do
        grep -hE '^✘ Test ' "$logs/$name" | grep -vE '^✘ Test run with ' | cut -c1-600 | sed "s/^/$name: /" | head -n 40
    done
}

# The program that runs in a machine's image, where there is no Swift: linked again, with Swift's libraries in it, from the
# objects of the tests' build. For SwiftPM a static program is another build: it would compile all of it a second time.
# In what tests can import, SwiftPM calls main by another name; and Foundation does not name all that it is made of.
link_member() {
    local program=$ROOST_BIN/roost-pg
    swiftc -static-stdlib -use-ld=lld -emit-executable -o "$program.whole" \
        @.build/testing/release/roost-pg.product/Objects.LinkFileList -lpq -lstdc++ \
        -l_FoundationCollections -l_FoundationCShims \
        -Xlinker --gc-sections -Xlinker --defsym=main=roost_pg_main || return 1
    strip --strip-all -o "$program.new" "$program.whole" && rm "$program.whole" && mv -f "$program.new" "$program"
}

prepare() {
    swift build "${build[@]}" --build-tests || return 1
    export ROOST_BIN=$PWD/.build/testing/bin
    mkdir -p "$ROOST_BIN"
    for program in .build/testing/release/roost{,d,-edge,-wan}; do
        [ ! -x "$program" ] || ln -sf "$PWD/$program" "$ROOST_BIN/"
    done
    link_member || return 1
    export ROOST_PG_PROGRAM=$ROOST_BIN/roost-pg
    "$ROOST_BIN/roost" image build postgres --program "$ROOST_BIN/roost-pg"
}

prepare || { echo "0 passed, 1 failed"; exit 1; }
echo "== built in $SECONDS s"
if [ -n "$filter" ]; then
    run filtered "$lab_limit" --no-parallel --filter "$filter"
    parts=(filtered)
else
    beside RoostSimulationTests pure_rooms
    yield_to_others RoostSimulationTests
    beside RoostPostgresTests early_and_machines
    beside RoostStoreTests late_and_one_host
    run rooms "$rooms_limit" --no-parallel --skip "$lab|$databases|$pure"
    # The first is the pure rooms'.
    wait "${lanes[@]:1}"
    run lab "$lab_limit" --no-parallel --skip "$one_host|$machines" --filter "$lab"
    take_turns_again RoostSimulationTests
    wait "${lanes[0]}"
    lanes=()
    parts=(early machines late one_host rooms pure lab)
fi
for part in "${parts[@]}"; do tally "$part"; done

[ "$failed" -eq 0 ] || recall "${parts[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
