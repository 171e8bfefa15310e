#!/bin/sh
# What must hold of the shipped binary itself. Usage: Tests/release.sh BINARY
set -eu
binary=$1
# One self-contained file: nothing but the C library is loaded.
extra=$(ldd "$binary" | awk '{print $1}' | grep -vE '^(linux-vdso|libc|libm|libpthread|libdl|libutil|librt|/lib64/ld-linux.*)' || true)
[ -z "$extra" ] || { echo "the binary loads $extra"; exit 1; }
[ "$("$binary" version)" = "$("$binary" --version)" ]
for shell in bash zsh; do "$binary" completion $shell > /dev/null; done
"$binary" completion bash | bash -n
# The gateway listens by a library of Debian's, and links neither git nor the ledger.
gateway="$(dirname "$binary")/ensign-gateway"
[ "$("$gateway" version)" = "$("$gateway" --version)" ]
ldd "$gateway" | grep -q libmicrohttpd
! grep -qa 'git_repository_open\|refs/ensign/ledger' "$gateway" || { echo "the gateway knows the ledger"; exit 1; }
for shell in bash zsh; do "$gateway" completion $shell > /dev/null; done
# Tables and schemas in docs/ are made from the program's own declarations.
python3 "$(dirname "$0")/../docs/tools/update.py" "$binary" --check
# The tutorial is what happens, and the demo runs quickly.
python3 "$(dirname "$0")/../docs/tools/tutorial.py" "$binary"
start=$(date +%s)
for part in demo gateway; do
    ENSIGN=$binary sh "$(dirname "$0")/../demo/$part.sh" >> /tmp/ensign-demo.$$ 2>&1 || { cat /tmp/ensign-demo.$$; exit 1; }
done
# No colour where nobody watches.
! grep -q "$(printf '\033')" /tmp/ensign-demo.$$
rm -f /tmp/ensign-demo.$$
# Half a minute alone; the tests run beside it.
[ $(($(date +%s) - start)) -lt 300 ]
echo "the release binary holds"
