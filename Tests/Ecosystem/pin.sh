#!/bin/sh
# Takes the newest versions of what requirements/NAME.in names, and pins them in requirements/NAME.txt.
#   sh Tests/Ecosystem/pin.sh NAME ...
# Packages after a line `# --no-deps` are taken as they are: what they ask for is there in another version, which will do.
set -eu
cd "$(dirname "$0")/requirements"
for name in "$@"; do
    folder=$(mktemp -d)
    python3 -m venv "$folder"
    sed '/^# --no-deps$/,$d' "$name.in" > "$folder/first.in"
    sed '1,/^# --no-deps$/d' "$name.in" > "$folder/then.in"
    "$folder/bin/pip" install -q -r "$folder/first.in"
    "$folder/bin/pip" install -q --no-deps -r "$folder/then.in"
    "$folder/bin/pip" freeze > "$name.txt"
    rm -rf "$folder"
done
