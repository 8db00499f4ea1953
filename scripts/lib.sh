# Shared by the scripts beside it; sourced, not run.
# shellcheck shell=bash

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Where Python and npm packages of the tests live; the tests read the same variable.
export SECUREMQ_CACHE=${SECUREMQ_CACHE:-$repository/.cache}

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

need() { # COMMAND, and what to do if it is missing
    command -v "$1" >/dev/null || fail "$1 is missing; $2"
}

# Prints a heading, runs the command, prints how long it took. Without `||` before it, so that `set -e` holds inside.
step() { # HEADING COMMAND...
    local heading=$1 begin=$SECONDS
    shift
    printf '\n== %s\n' "$heading"
    "$@"
    printf -- '-- %s: %d s\n' "$heading" "$((SECONDS - begin))"
}

# Installs Debian packages, as root or with sudo; says what to type where neither is possible.
install_debian() { # PACKAGE...
    local as_root=()
    need apt-get "install $* by hand"
    if [[ $EUID -ne 0 ]]; then
        sudo -n true 2>/dev/null || fail "needed: sudo apt-get install $*"
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Succeeds if the folder was made from exactly these files.
fresh() { # FOLDER FILE...
    local folder=$1
    shift
    [[ -f $folder/stamp && $(cat "$folder/stamp") == "$(cat "$@" | sha256sum)" ]]
}

stamp() { # FOLDER FILE...
    local folder=$1
    shift
    cat "$@" | sha256sum >"$folder/stamp"
}
