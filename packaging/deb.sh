#!/bin/sh
# Makes a Debian package of the release binary. Usage: packaging/deb.sh BINARY VERSION OUT.deb
# The same sources give the same bytes: all times are that of the newest commit (SOURCE_DATE_EPOCH).
set -eu
binary=$1 version=$2 out=$3
root=$(cd "$(dirname "$0")/.." && pwd)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
umask 022
doc=$stage/usr/share/doc/ensign

mkdir -p "$stage/usr/share/bash-completion/completions" "$stage/usr/share/zsh/vendor-completions" "$stage/usr/share/man/man1"
for name in ensign ensign-gateway; do
    program=$(dirname "$binary")/$name
    install -D -m 755 "$program" "$stage/usr/bin/$name"
    strip --strip-unneeded --remove-section=.comment --remove-section=.note "$stage/usr/bin/$name"
    "$program" completion bash > "$stage/usr/share/bash-completion/completions/$name"
    "$program" completion zsh > "$stage/usr/share/zsh/vendor-completions/_$name"
    python3 "$root/packaging/man.py" "$program" "$SOURCE_DATE_EPOCH" | gzip -9n > "$stage/usr/share/man/man1/$name.1.gz"
done
for file in python/ensign.py python/py.typed python/pyproject.toml javascript/ensign.mjs javascript/ensign.d.mts javascript/package.json; do
    install -D -m 644 "$root/clients/$file" "$stage/usr/share/ensign/clients/$file"
done

mkdir -p "$doc"
cp -r "$root/docs" "$doc/docs"
rm -rf "$doc/docs/tools"
cp "$root/README.md" "$doc"
find "$doc" -type f -exec chmod 644 {} +
find "$doc" -type d -exec chmod 755 {} +
gzip -9n < "$root/CHANGELOG.md" > "$doc/NEWS.gz"
author="${DEBFULLNAME:-Ensign} <${DEBEMAIL:-packages@ensign.dev}>"
printf 'ensign (%s) unstable; urgency=medium\n\n  * NEWS.gz says what is new.\n\n -- %s  %s\n' \
    "$version" "$author" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n > "$doc/changelog.gz"
cat > "$doc/copyright" <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ensign

Files: *
Copyright: 2026 The authors of Ensign
License: Apache-2.0
Comment:
 The binary holds code of the source packages in Built-Using, and of Swift's standard library (Apache-2.0 with a runtime
 library exception). Their copyright is in /usr/share/doc of those packages.

License: Apache-2.0
 On Debian systems the whole text is in /usr/share/common-licenses/Apache-2.0.
END

# What the binary was linked with stays known, and what it needs is what its symbols say.
glibc=$(objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
# What the gateway loads beside the C library.
loaded=$(objdump -p "$(dirname "$binary")/ensign-gateway" | awk '$1 == "NEEDED" {print $2}' |
    grep -vE '^(libc|libm|libpthread|libdl|ld-linux.*)\.so' | while read -r library; do
        dpkg -S "*/$library" | sed -n '1s/[:,].*//p'
    done | sort -u | sed 's/^/, /' | tr -d '\n')
used=$(dpkg-query -W -f '${source:Package} (= ${source:Version})\n' \
    libgit2-dev libyaml-dev libsodium-dev nettle-dev libpcre2-dev zlib1g-dev libmbedtls-dev libhttp-parser-dev | sort -u | paste -sd, | sed 's/,/, /g')
mkdir "$stage/DEBIAN"
cat > "$stage/DEBIAN/control" <<END
Package: ensign
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: $author
Built-Using: $used
Installed-Size: $(du -ks "$stage/usr" | cut -f1)
Depends: libc6 (>= ${glibc#GLIBC_}), git (>= 1:2.34), openssh-client$loaded
Recommends: curl
Section: vcs
Priority: optional
Description: GitOps for fleets of AI agents
 Ensign keeps a fleet of AI agents exactly as a git repository says: which
 agents exist, which version runs where, what each may call and within which
 limits. It checks the manifests, shows what would change, publishes static
 files that agents read, and signs a record of everything that it did.
 ensign-gateway stands between agents and their MCP servers, and holds every
 call against what was merged.
END
install -D -m 644 "$root/packaging/lintian-overrides" "$stage/usr/share/lintian/overrides/ensign"
(cd "$stage" && find usr -type f -print0 | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$(dirname "$out")"
dpkg-deb --root-owner-group -Zxz --build "$stage" "$out" > /dev/null
ls -l "$out"
