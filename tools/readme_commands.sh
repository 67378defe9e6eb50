#!/usr/bin/env bash
# Run the commands of README.md as they are typed there: every line of its ```sh blocks, except those that install
# packages and those that run the test suite, which .ci/run does itself.
set -euo pipefail
cd "$(dirname "$0")/.."

awk '/^```sh$/ {inside = 1; next} /^```/ {inside = 0} inside && NF' README.md |
    sed -E 's/ +# .*$//; s/^pip install [^&]*&& //' |
    grep -vE '^(pip install|python -m pytest)' |
    while IFS= read -r command; do
        printf '\n$ %s\n' "$command"
        bash -c "$command" < /dev/null
    done
