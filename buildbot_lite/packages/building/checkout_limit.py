"""
A limit of the disk for the checkout of a git repository, whose size its authors decide.

Programs beside git look how much there is, because no limit of setrlimit(2) counts all files together: while git works,
and once more at its end, since a fast repository is there before the first look.  What is left on the disk is asked for
apart from what the checkout has, because that takes longer the more files there are.  A command that is ended leaves
processes, which the keeper kills.
"""

from collections.abc import Sequence

RESERVE = 1 << 30
"""Bytes that a checkout leaves free on the disk, as builds do."""
MOST_FILES = 500_000
"""Files and directories of a checkout, with those of git itself: more take no bytes, but too long to look at."""

# Looking takes long where there are many files, so there are pauses, which grow with that up to 10 seconds.  The
# sentence begins like git's own errors, among which the step looks for it.
_WATCHED = r"""
limit=$1 reserve=$2 most=$3
shift 3
mb() { echo "$(($1 / 1000000)) MB"; }
too_much() {
    if [ "$(find .. -xdev 2>/dev/null | head -n $((most + 1)) | wc -l)" -gt "$most" ]; then
        echo "fatal: the checkout has more than $most files, the limit"
        return
    fi
    kilobytes=$(du -skx .. 2>/dev/null | cut -f 1)
    [ $((${kilobytes:-0} * 1024)) -gt "$limit" ] || return 1
    echo "fatal: the checkout has more than $(mb "$limit"), the limit (disk= of the target's root)"
}
full() {
    left=$(df -Pk . 2>/dev/null | awk 'NR == 2 { print $4 }')
    case $left in '' | *[!0-9]*) return 1 ;; esac
    [ "$left" -lt $((reserve / 1024)) ] || return 1
    echo "fatal: the disk of the slave has less than $(mb "$reserve") left"
}
watch() { # QUESTION
    pause=1
    trap '{ kill $sleeping; wait $sleeping; } 2>/dev/null; exit' TERM
    while :; do
        sleep $pause >/dev/null 2>&1 &
        sleeping=$!
        wait $sleeping
        began=$(date +%s)
        if $1; then
            kill -KILL $command
            exit
        fi
        pause=$((1 + 10 * ($(date +%s) - began)))
        [ $pause -le 10 ] || pause=10
    done
}
"$@" &
command=$!
watch full &
watching=$!
watch too_much &
watching="$watching $!"
# Shells say there which of their processes was killed.
{ wait $command; } 2>/dev/null
code=$?
{ kill -TERM $watching; wait $watching; } 2>/dev/null
if [ $code = 0 ] && { too_much || full; }; then code=1; fi
exit $code
"""


def within_disk(words: Sequence[str], limit: int) -> list[str]:
    """
    The words of a command that runs *words*, in a directory beside which it may leave files, and ends it with a
    sentence when there are more than *limit* bytes or `MOST_FILES` in the directory above, or less than `RESERVE` bytes
    are left on its disk.
    """
    return ["/bin/sh", "-c", _WATCHED, "watched", str(limit), str(RESERVE), str(MOST_FILES), *words]
