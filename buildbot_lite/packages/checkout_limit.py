"""
A limit of the disk for the checkout of a git repository, whose size its authors decide.

A program beside git looks how much there is, because no limit of setrlimit(2) counts all files together: while git
works, and once more at its end, since a fast repository is there before the first look.  A command that is ended leaves
processes, which the keeper kills.
"""

from collections.abc import Sequence

RESERVE = 1 << 30
"""Bytes that a checkout leaves free on the disk, as builds do."""

# Looking takes long where there are many files, so there are pauses of ten times as long.  The sentence begins like
# git's own errors, among which the step looks for it.
_WATCHED = r"""
limit=$1 reserve=$2
shift 2
mb() { echo "$(($1 / 1000000)) MB"; }
too_much() {
    kilobytes=$(du -skx .. 2>/dev/null | cut -f 1)
    if [ $((${kilobytes:-0} * 1024)) -gt "$limit" ]; then
        echo "fatal: the checkout has more than $(mb "$limit"), the limit (disk= of the target's root)"
        return
    fi
    left=$(df -Pk . 2>/dev/null | awk 'NR == 2 { print $4 }')
    case $left in '' | *[!0-9]*) return 1 ;; esac
    [ "$left" -lt $((reserve / 1024)) ] || return 1
    echo "fatal: the disk of the slave has less than $(mb "$reserve") left"
}
watch() {
    pause=1
    trap 'kill $sleeping 2>/dev/null; exit' TERM
    while :; do
        sleep $pause >/dev/null 2>&1 &
        sleeping=$!
        wait $sleeping
        began=$(date +%s)
        if too_much; then
            kill -KILL $command
            exit
        fi
        pause=$((1 + 10 * ($(date +%s) - began)))
    done
}
"$@" &
command=$!
watch &
watching=$!
# Shells say there which of their processes was killed.
{ wait $command; } 2>/dev/null
code=$?
{ kill -TERM $watching; wait $watching; } 2>/dev/null
[ $code != 0 ] || ! too_much || code=1
exit $code
"""


def within_disk(words: Sequence[str], limit: int) -> list[str]:
    """
    The words of a command that runs *words*, in a directory beside which it may leave files, and ends it with a
    sentence when there are more than *limit* bytes in the directory above.
    """
    return ["/bin/sh", "-c", _WATCHED, "watched", str(limit), str(RESERVE), *words]
