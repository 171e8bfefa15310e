#!/bin/sh
# Installs the Debian packages among its arguments that are missing. A package may bring a service that the tests start
# themselves (an sshd, a Prometheus): nothing is started or enabled on this machine.
set -eu
missing=""
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "Installing:$missing"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $SUDO tee "$policy" >/dev/null
    $SUDO chmod 755 "$policy"
    trap '$SUDO rm -f "$policy"' EXIT
fi
$SUDO apt-get update -qq
# shellcheck disable=SC2086
$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
if command -v systemctl >/dev/null; then
    for service in ssh prometheus; do
        case " $missing " in *" openssh-server "* | *" prometheus "*) $SUDO systemctl disable -q "$service" 2>/dev/null || true ;; esac
    done
fi
