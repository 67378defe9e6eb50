#!/usr/bin/env bash
# Run the commands of README.md: every line of its ```sh blocks, except those that install packages or run the test
# suite, which .ci/run does itself.  They run in a copy of the files in git, so that no trained weights are overwritten.
set -euo pipefail
cd "$(dirname "$0")/.."

if git rev-parse --git-dir > /dev/null 2>&1; then
    copy=$(mktemp -d)
    trap 'rm -rf "$copy"' EXIT
    git ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
        tar --null --files-from=- --create --file=- | tar --extract --file=- --directory="$copy"
    cd "$copy"
fi

commands=$(awk '/^```sh$/ {inside = 1; next} /^```/ {inside = 0} inside && NF' README.md |
    sed -E 's/ +# .*$//; s/^pip install [^&]*&& //' | grep -vE '^(pip install|python -m pytest)')
while IFS= read -r command; do
    printf '\n$ %s\n' "$command"
    bash -c "$command" < /dev/null
done <<< "$commands"
