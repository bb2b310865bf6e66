# The head of overlay.sh, sbuild.sh and mock.sh.
set -eu
umask 022
export LC_ALL=C.UTF-8

# Exit codes, for the step.
FAILED=1 NO_NAMESPACES=96 NO_TOOL=97

fail() { # CODE SENTENCE
    echo "error: $2" >&2
    exit "$1"
}

