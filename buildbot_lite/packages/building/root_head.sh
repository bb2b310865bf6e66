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

# Seconds that the first making of a base may take, and that a build waits for another one to make it: less than the
# silence after which a command of a build is killed, so that the reason is said.
LONGEST_MAKING=3400 LONGEST_WAIT=3500

# Hold the lock of BASES as descriptor 9: one build at a time makes, packs, removes or takes a base.
lock_bases() { # BASES
    exec 9>"$1/.lock"
    flock --nonblock 9 || {
        echo "another build on this machine uses or makes the bases: waiting for it" >&2
        # Several may have had the lock one after another.
        flock --timeout $LONGEST_WAIT 9 || fail $FAILED "Other builds on this machine have used or made the bases for more than \
$((LONGEST_WAIT / 60)) minutes: see what they wait for (an mmdebstrap or a tar), and submit again."
    }
}
