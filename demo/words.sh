# How the parts of the demo speak, and where they work. Sourced, with $here set.
ensign=${ENSIGN:-ensign}
scratch=$(mktemp -d)
watch='' traffic=''
# Whatever ends the demo ends what it has started, by its number.
finish() {
    for child in $traffic $watch; do
        kill "$child" 2> /dev/null || true
        wait "$child" 2> /dev/null || true
    done
    [ -n "${KEEP:-}" ] || rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
PATH="$(dirname "$ensign"):$PATH"
export PATH HOME="$scratch" GIT_CONFIG_NOSYSTEM=1
git config --global user.name "Ada Example"
git config --global user.email ada@example.com
git config --global init.defaultBranch main
git config --global advice.detachedHead false
cd "$scratch"

bold='' cyan='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$(printf '\033[1m') cyan=$(printf '\033[36m') plain=$(printf '\033[0m')
fi
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
prompt() { printf '%s$ %s%s\n' "$cyan" "$*" "$plain"; }
run() {
    prompt "$*"
    eval "$*"
}
# Shows a part of what a command says, chosen by a sed script. Not a pipe: that would hide a command that fails.
excerpt() {
    lines=$1
    shift
    prompt "$*"
    eval "$*" > "$scratch/said" 2>&1 || {
        cat "$scratch/said"
        exit 1
    }
    sed -n "$lines" "$scratch/said" > "$scratch/shown"
    [ -s "$scratch/shown" ] || {
        cat "$scratch/said"
        echo "the demo expected something else here" >&2
        exit 1
    }
    cat "$scratch/shown"
    cmp -s "$scratch/said" "$scratch/shown" || echo "..."
}
# Ends a child that runs beside the demo.
end() {
    kill "$1"
    wait "$1" 2> /dev/null || true
}
# The record of a halt follows the halt.
recorded() {
    for _ in $(seq 50); do
        ! ensign log --env prod "$2" | grep -q " $1 " || return 0
        sleep 0.1
    done
}
# Shows the rollouts of prod whenever something has changed, until no canary is under way.
follow() {
    prompt "ensign rollout status --env prod    # again and again"
    before=''
    for second in $(seq 90); do
        ensign rollout status --env prod > "$scratch/said"
        grep -q ' canary ' "$scratch/said" || return 0
        [ "$second" -gt 1 ] || head -n 1 "$scratch/said"
        # The seconds that are left change all the time.
        now=$(sed '1d; s/ due \| in [0-9]*s / /' "$scratch/said")
        [ "$now" = "$before" ] || tail -n +2 "$scratch/said"
        before=$now
        sleep 1
    done
    echo "the demo expected the canary to be over by now" >&2
    exit 1
}
# A command that must be refused: the demo fails when it is not.
refused() {
    prompt "$*"
    if eval "$*"; then
        echo "the demo expected this to be refused" >&2
        exit 1
    fi
}
