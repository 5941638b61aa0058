#!/bin/bash
# The rules of CONTRIBUTING.md that a program can check.
set -uo pipefail
cd "$(dirname "$0")/.."
failures=0
complain() {
    echo "check: $1" >&2
    failures=$((failures + 1))
}

mapfile -t swift < <(git ls-files --cached --others --exclude-standard -- 'Sources/*.swift' 'Tests/*.swift' Package.swift |
    while read -r file; do [ -f "$file" ] && echo "$file"; done)

swift format lint --strict --parallel "${swift[@]}" || complain "not formatted; 'make fmt' does it"

lines_max=500
for file in "${swift[@]}"; do
    lines=$(wc -l <"$file")
    [ "$lines" -le "$lines_max" ] || complain "$file has $lines lines; at most $lines_max"
done

# What is not done is absent, not promised; names say what a thing is.
unfinished='\b(TODO|FIXME|XXX|HACK)\b'
vague='\b(struct|class|actor|enum|protocol) [A-Za-z]*(Manager|Helper|Utils|Utilities|Common)\b'
grep -nE "$unfinished" "${swift[@]}" && complain "unfinished work; finish it or leave it out"
grep -nE "$vague" "${swift[@]}" && complain "a name that says nothing; use a noun of the domain"

for script in scripts/*.sh .ci/run; do
    bash -n "$script" || complain "$script is not valid"
done

# The walls between rooms stand, and the script that says so sees it when one does not.
scripts/walls.py || complain "a wall is broken"
walls_test=$(python3 scripts/test_walls.py 2>&1) || complain "scripts/walls.py does not see what it should: $walls_test"

# What is stored or sent is tried against other versions, and the script that says so sees it when it is not.
scripts/records.py || complain "a record has no fixture"
records_test=$(python3 scripts/test_records.py 2>&1) || complain "scripts/records.py does not see what it should: $records_test"

# What docs/failures.md says is shown by tests is, and the script that says so sees it when it is not.
scripts/failures.py || complain "docs/failures.md is not borne out"
failures_test=$(python3 scripts/test_failures.py 2>&1) || complain "scripts/failures.py does not see what it should: $failures_test"

# Each place that 'make mutations' breaks is there, and so is the test that has to notice; and the script that says so sees it
# when one is not.
scripts/mutate.py --check || complain "scripts/mutate.py names something that is not there"
mutate_test=$(python3 scripts/test_mutate.py 2>&1) || complain "scripts/mutate.py does not see what it should: $mutate_test"

# Links between documents lead somewhere.
while read -r document; do
    [ -f "$document" ] || continue
    while read -r link; do
        [ -e "$(dirname "$document")/$link" ] || complain "$document: no $link"
    done < <(grep -oE '(\]\(|src=")[^)"#:]+' "$document" | sed -E 's/^(\]\(|src=")//')
done < <(git ls-files --cached --others --exclude-standard -- '*.md')

[ "$failures" -eq 0 ] || exit 1
echo "check: ${#swift[@]} files are in order"
