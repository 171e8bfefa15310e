#!/bin/sh
# What must hold of the packages. Usage: packaging/check.sh VERSION DEB IMAGE FOLDER
set -eu
version=$1 deb=$2 image=$3 folder=$4
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
says() { # COMMAND...: it is this version, and knows how to make a fleet that holds
    [ "$("$@" version)" = "ensign $version" ] || { echo "$*: not ensign $version"; exit 1; }
}

# The tarball unpacks to one folder, which is all that is needed.
tar -C "$scratch" -xzf "$folder/ensign-$version-linux-$(uname -m).tar.gz"
says "$scratch/ensign-$version/bin/ensign"
for file in LICENSE README.md docs/install.md hooks/pre-receive clients/python/ensign.py clients/javascript/ensign.mjs \
    share/bash-completion/completions/ensign share/zsh/site-functions/_ensign; do
    [ -f "$scratch/ensign-$version/$file" ] || { echo "the tarball has no $file"; exit 1; }
done

# Debian's own checker has nothing to say, and the files are where the package says.
lintian --fail-on error,warning --info "$deb"
dpkg-deb -x "$deb" "$scratch/deb"
says "$scratch/deb/usr/bin/ensign"
[ "$("$scratch/deb/usr/bin/ensign" gateway version)" = "ensign-gateway $version" ]
(cd "$scratch/deb" && dpkg-deb --info "$OLDPWD/$deb" md5sums | md5sum -c --quiet -)

# pip installs the wheel, and its metadata are right.
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -q --no-index "$folder"/ensign_cli-"$version"-*.whl
says "$scratch/venv/bin/ensign"
"$scratch/venv/bin/pip" check > /dev/null
[ -f "$scratch/venv/share/bash-completion/completions/ensign" ]

# Two tools read the image: one checks each blob against its digest while copying, the other unpacks the layers.
skopeo inspect "oci:$image:$version" > "$scratch/inspect.json"
skopeo copy -q "oci:$image:$version" "oci:$scratch/copy:$version"
grep -q "\"org.opencontainers.image.version\": \"$version\"" "$scratch/inspect.json"
rootless=$([ "$(id -u)" = 0 ] || echo --rootless)
# shellcheck disable=SC2086
umoci unpack $rootless --image "$scratch/copy:$version" "$scratch/bundle" 2> "$scratch/umoci.txt" || { cat "$scratch/umoci.txt"; exit 1; }
if [ "$(id -u)" = 0 ]; then
    inside="chroot --userspec=10001:10001 $scratch/bundle/rootfs"
    # shellcheck disable=SC2086
    says $inside /usr/bin/ensign
    # shellcheck disable=SC2086
    $inside /usr/bin/git --version > /dev/null && $inside /usr/bin/ssh -V 2> /dev/null
fi
# Nothing of the machine that made it.
! grep -rqsE 'sources.list|proxy' "$scratch/bundle/rootfs/etc/apt/apt.conf.d" "$scratch/bundle/rootfs/etc/apt/sources.list" || {
    echo "the image knows where its packages came from"; exit 1; }
echo "the packages hold"
