# The directories of builds, and roots of builds that failed, kept on the slave for a time: a part of overlay.sh, sbuild.sh and mock.sh.
#
#   claim ROOT DIRECTORY                         begin a build in the current directory, and remove both, which an earlier
#                                                one may have left
#   clear ROOT DIRECTORY                         end it, and remove both
#   sweep_left [DIRECTORY MARK]…                 remove what builds that are over have left
#   keep ROOT DIRECTORY ARCH KEPT NAME SECONDS   move both to KEPT/NAME, and keep them for SECONDS
#   sweep_kept KEPT                              remove those whose time is over
#   enter KEPT NAME [COMMAND…]                   run COMMAND, or a shell, in KEPT/NAME, without the network; needs overlay.sh
#
#   KEPT/NAME/root, files   ROOT and DIRECTORY
#            /arch          its architecture
#            /kilobytes     its size on the disk
#            /until         seconds since 1970 when its time is over; whoever is in the root has its lock
#
# What is in a root says of which kind it is, and so how it is measured, kept, entered and removed:
#
#   overlay   base or built, a link to what the overlay is over
#   tree      session, a link to where sbuild made its root; once kept, tree: that root
#   mock      made, a file with the configuration and the name of a root that mock keeps in a place of its own
#
# MARKS/BUILDER/build-2 marks which build has begun in the directory BUILDER/build-2: a text of its own.

# Roots that are kept at most: their number, and bytes of all together.
MOST_KEPT=5 LARGEST_KEPT=21474836480

# Where the marks are, from the directory of a build.  Not in that directory: in those of other builders, a checkout brings
# what it likes, and what is beside a mark is removed, with all that it leads to.
MARKS=../../roots/begun

# Seconds for which a build waits until what an earlier one left in its directory is removed.
LONGEST_CLEARING=3000

# Free bytes and inodes that are left on the disk.
export RESERVE=1073741824 RESERVED_FILES=10000

# Exit code, for the step.
DAMAGED=99

# Without root's rights, files of subordinate users are reached in a user namespace only.
[ "$(id -u)" = 0 ] && map= || map="--map-auto --map-root-user"

erase() {
    for directory; do
        [ -e "$directory" ] || [ -L "$directory" ] || continue
        mounted=$(mounted_in "$directory")
        [ -z "$mounted" ] || {
            echo "$mounted is mounted, and what is there would be removed: umount it" >&2
            return 1
        }
        rm -rf -- "$directory" 2>/dev/null || unshare $map rm -rf -- "$directory"
    done
}

# Print what is mounted at DIRECTORY or below; nothing for a link, of which only the link is removed.
mounted_in() { # DIRECTORY
    [ ! -L "$1" ] || return 0
    at=$(readlink -m -- "$1")/ awk '
        { gsub(/\\040/, " ", $5) }
        index($5 "/", ENVIRON["at"]) == 1 { print $5; exit }
    ' /proc/self/mountinfo
}

# The mark is for `leftovers`, which finds by it what a build has left that is over.
claim() { # ROOT DIRECTORY
    lock_build
    clear "$@"
    mark=$(mark_here)
    mkdir -p "${mark%/*}"
    cat /proc/sys/kernel/random/uuid >"$mark"
}

# Remove the root and the files in each DIRECTORY, unless another build has begun there than that of MARK.
sweep_left() { # [DIRECTORY MARK]…
    left=0
    while [ $# -gt 0 ]; do
        # In a condition, the shell would ignore the failures of single commands.
        set +e
        (
            set -e
            # Neither an option nor below CDPATH.
            cd "./$1"
            lock_build
            [ "$(mark_of "$(mark_here)")" != "$2" ] || clear root files
        )
        [ $? = 0 ] || left=1
        set -e
        shift 2
    done
    return $left
}

# Lock the current directory, as descriptor 9: something is removed in it, or a build begins there.
lock_build() {
    command -v flock >/dev/null || fail $NO_TOOL "This machine has no flock (it is in util-linux)."
    exec 9<.
    flock --nonblock 9 || {
        echo "waiting until what an earlier build left in $PWD is removed" >&2
        flock --timeout $LONGEST_CLEARING 9 || fail $FAILED "What an earlier build left in $PWD has been being removed for more than \
$((LONGEST_CLEARING / 60)) minutes: see what the rm there waits for, and submit again."
    }
}

mark_here() {
    builder=${PWD%/*}
    echo "$MARKS/${builder##*/}/${PWD##*/}"
}

mark_of() { # FILE
    ! regular "$1" || head -c 100 "$1"
}

# Remove what a build has left, whatever made its root.  The mark goes last: until then, the next sweep finds the rest.
clear() { # ROOT DIRECTORY
    scrub "$1"
    erase_session "$1"
    erase "$@"
    rm -f "$(mark_here)"
}

# Remove what sbuild has left in its temporary directory.
erase_session() { # ROOT
    session=$(readlink "$1/session" || true)
    if [ -n "$session" ] && [ -O "$session" ] && [ ! -L "$session" ]; then erase "$session"; fi
    rm -f "$1/session"
}

kind_of() { # ROOT
    if [ -e "$1/made" ]; then
        echo mock
    elif [ -d "$1/tree" ] || { [ -L "$1/session" ] && unshare $map sh -c "$find_tree" sh "$1" >/dev/null; }; then
        echo tree
    elif [ -L "$1/base" ] || [ -L "$1/built" ]; then
        echo overlay
    fi
}

# Print where sbuild made its root, unless it failed before it made the directory of the build there.
find_tree='for tree in "$1"/session/root.*; do [ ! -d "$tree/build" ] || { echo "$tree"; exit; }; done; exit 1'

keep() { # ROOT DIRECTORY ARCH KEPT NAME SECONDS
    if [ -L "$1/session" ] && [ ! -e "$1/session" ]; then not_kept "its temporary directory is gone"; fi
    kind=$(kind_of "$1")
    [ -n "$kind" ] || not_kept "none was made"
    mkdir -p "$4"
    kept=$(readlink -f "$4") incoming=$kept/.incoming
    chmod 700 "$kept"
    exec 9<"$kept"
    flock 9
    set_aside "$kept" "$5"
    set_aside "$kept" .incoming
    discard_removed "$kept"
    "measure_$kind" "$1" "$2"
    [ -n "$kilobytes" ] || not_kept "its size cannot be measured"
    [ $((kilobytes * 1024)) -le $LARGEST_KEPT ] || not_kept "it has more than $LARGEST_KEPT bytes"
    mkdir "$incoming"
    echo "$3" >"$incoming/arch"
    echo "$kilobytes" >"$incoming/kilobytes"
    echo $(($(date +%s) + $6)) >"$incoming/until"
    "take_$kind" "$1" "$incoming/root" "$kept/$5/root"
    erase_session "$1"
    mv -T "$1" "$incoming/root"
    mv -T "$2" "$incoming/files"
    mv -T "$incoming" "$kept/$5"
    sweep_locked "$kept" || true
}

# The step looks for these first words: programs that this one runs may say something, too.
not_kept() { # REASON
    echo "not kept: $1"
    exit
}

disk_usage() { # PATH…
    unshare $map du -skcx -- "$@" 2>/dev/null | tail -n 1 | cut -f 1
}

enter() { # KEPT NAME [COMMAND…]
    one=$1/$2 gone="The root of $2 is not kept on this machine (any more)."
    shift 2
    need flock
    [ -e "$one/until" ] || fail $DAMAGED "$gone"
    # Two overlays cannot share their upper directory.
    exec 9<"$one/until"
    flock --nonblock 9 || fail $DAMAGED "Somebody else is in this root, or it is being removed.  Try again later."
    # It may have been removed before it was locked.
    [ "$one/until" -ef /proc/self/fd/9 ] || fail $DAMAGED "$gone"
    kind=$(kind_of "$one/root")
    [ -n "$kind" ] || fail $DAMAGED "$gone"
    "enter_$kind" "$one" "$@"
}

in_shell='
    echo "The root of a build that failed; the files of the build are in /build.  There is no network.  Leave it with: exit"
    [ ! -t 0 ] || ! command -v bash >/dev/null || exec bash -i
    exec sh
'

# An overlay over a base.

measure_overlay() { # ROOT DIRECTORY
    kilobytes=$(disk_usage "$1/upper" "$2")
}

take_overlay() { # ROOT PLACE…
    base=$(readlink "$1/base" || readlink "$1/built")
    shift
    for place; do use "$base" "$place"; done
}

enter_overlay() { # ONE [COMMAND…]
    one=$1 link=base
    shift
    [ -L "$one/root/base" ] || link=built
    [ $# -gt 0 ] || set -- sh -c "$in_shell"
    run $link "$one/root" "$one/files" "$(cat "$one/arch")" "0,4096,$LARGEST_KEPT" no "$@"
}

# A root of sbuild's, with all its files.

measure_tree() { # ROOT DIRECTORY
    kilobytes=$(disk_usage "$1/upper" "$1/session/" "$2")
}

take_tree() { # ROOT
    session=$(readlink "$1/session")
    # The temporary directory may be on another disk.
    if [ "$(stat -c %d "$session")" != "$(stat -c %d "$1")" ]; then
        set -- "$1" $(stat -f -c "%a %S" "$1")
        [ $(($2 * $3)) -ge $((kilobytes * 1024 + RESERVE)) ] || not_kept "the disk has no room for it"
    fi
    tree=$(unshare $map sh -c "$find_tree" sh "$1")
    unshare $map sh -euc 'mv -T "$1" "$2"; find "$2" -xdev -print0 | perl -e "$3"' sh "$tree" "$1/tree" "$renumber"
}

# Give files the owners that they have in an overlay: root is the slave's own user there, and the first subordinate user in
# what sbuild made.  A change of the owner clears set-user-ID bits.
renumber='
    use POSIX "lchown";
    my %seen;
    $/ = "\0";
    while (my $path = <STDIN>) {
        chomp $path;
        my (undef, $inode, $mode, $links, $user, $group) = lstat $path or die "$path: $!\n";
        next if $user == 0 or $links > 1 && -f _ && $seen{$inode}++;
        lchown $user - 1, $group - 1, $path or die "$path: $!\n";
        chmod $mode & 07777, $path or die "$path: $!\n" if $mode & 06000 && -f _;
    }
'

enter_tree() { # ONE [COMMAND…]
    one=$1
    shift
    [ $# -gt 0 ] || set -- sh -c "$in_shell"
    # All of the root counts, also what was there before.
    size=$(number "$one/kilobytes")
    run tree "$one/root" "" "$(cat "$one/arch")" "0,4096,$((LARGEST_KEPT + ${size:-0} * 1024))" no "$@"
}

# A root of mock's.

measure_mock() { # ROOT DIRECTORY
    read -r config unique <"$1/made"
    # Only root in the root can read all of it.
    kilobytes=$(mock --quiet --root="$config" --uniqueext="$unique" --chroot -- du -skx / 2>/dev/null |
        sed -n '$s/^\([0-9]\{1,12\}\)[^0-9].*/\1/p')
    [ -n "$kilobytes" ] || not_kept "mock does not say how large it is"
    files=$(du -skcx -- "$1" "$2" 2>/dev/null | tail -n 1 | cut -f 1)
    kilobytes=$((kilobytes + ${files:-0}))
}

take_mock() {
    : # It stays where mock made it.
}

enter_mock() { # ONE [COMMAND…]
    read -r config unique <"$1/root/made"
    # mock runs as another user, so its processes do not die with this one: what waits for the end of this one, and keeps
    # the lock of the root meanwhile, lets mock kill them.
    rm -f "$1/entered"
    mkfifo "$1/entered"
    exec 8<>"$1/entered" 7<"$1/entered"
    rm "$1/entered"
    setsid sh -c "$kill_left" sh "$config" "$unique" <&7 >/dev/null 2>&1 7<&- 8<&- &
    exec 7<&-
    shift
    if [ $# -gt 0 ]; then
        # mock gives the words to a shell in the root.
        command=
        for word; do command="$command '$(printf %s. "$word" | sed "s/'/'\\\\''/g")"; command="${command%.}'"; done
        set -- -- "$command"
    else
        echo "The root of a build that failed; the files of the build are in /builddir/build.  Leave it with: exit"
    fi
    code=0
    # Without --unpriv, mock would start the command as the root of the machine.
    sh -c 'echo $$ >&8; exec "$@" 8>&-' sh \
        mock --quiet --root="$config" --uniqueext="$unique" --no-clean --unpriv --shell "$@" 9<&- || code=$?
    exit "$code"
}

# Run with the number of mock, and then the end of the process that started it, as its input.  While that mock lives, it
# may start its command only after this one has let the others be killed.
kill_left='
    read -r mock || exit 0
    cat
    tries=0
    while
        timeout 60 mock --quiet --root="$1" --uniqueext="$2" --orphanskill
        [ -e "/proc/$mock" ] && [ $tries -lt 60 ]
    do
        tries=$((tries + 1))
        sleep 1
    done
'

# Remove the root that mock made for ROOT, if it did.
scrub() { # ROOT
    # Without a complete line, the file was not finished, and mock had not begun.
    [ -e "$1/made" ] && read -r config unique <"$1/made" || return 0
    code=0
    mock --quiet --root="$config" --uniqueext="$unique" --scrub=chroot --scrub=bootstrap || code=$?
    case $code in
        # No configuration of that name, or no mock: another attempt would not succeed either.
        3 | 5 | 127) stays "mock and its configuration $config are not here any more" ;;
        *) return "$code" ;;
    esac
}

stays() { # REASON
    echo "warning: $1, so the root that it made stays on this machine: it has \"$unique\" in its name, and is in \
/var/lib/mock unless mock keeps its roots elsewhere" >&2
}

# Give what is kept as NAME another name, with which it is in nobody's way.
set_aside() { # KEPT NAME
    [ -e "$1/$2" ] || return 0
    aside=$1/.removed.$2.$(date +%s)-$$
    mv -T "$1/$2" "$aside"
    touch "$aside"
}

# Remove what was set aside.  Where mock does not remove its root for a day, it would not later either.
discard_removed() { # KEPT
    for removed in "$1"/.removed.*; do
        [ -e "$removed" ] || continue
        if ! scrub "$removed/root"; then
            [ -n "$(find "$removed" -maxdepth 0 -mmin +1440)" ] || continue
            stays "mock has failed for a day to remove what it made"
        fi
        erase "$removed" || true
    done
}

# Whether FILE is a file, and no link to one.  To open anything else could wait for ever, and to read it take all memory.
regular() { # FILE
    [ -f "$1" ] && [ ! -L "$1" ]
}

# Print the number in FILE; nothing if there is none.
number() { # FILE
    regular "$1" || return 0
    head -c 32 "$1" 2>/dev/null | sed -n '1s/^0*\([0-9]\{1,12\}\)$/\1/p' || true
}

# Remove kept roots whose time is over, then the oldest ones, until the others are few and small enough; but none in
# which somebody is.  Whatever cannot be removed now stops nobody: the next build tries again.
sweep_kept() { # KEPT
    [ -d "$1" ] || return 0
    # One at a time: another one would find what this one moves away.
    (
        flock --nonblock 9 || exit 0
        sweep_locked "$1"
    ) 9<"$1" || true
}

# The same, with the lock of KEPT.
sweep_locked() { # KEPT
    # What an interrupted keeping or removal has left.
    set_aside "$1" .incoming
    discard_removed "$1"
    count=0 kilobytes=0
    for name in $(cd "$1" && ls -t -- */until 2>/dev/null); do
        name=${name%/until}
        if ! regular "$1/$name/until"; then
            set_aside "$1" "$name" || true
            continue
        fi
        until=$1/$name/until size=$(number "$1/$name/kilobytes") end=$(number "$1/$name/until")
        count=$((count + 1)) kilobytes=$((kilobytes + ${size:-0}))
        # A file without a number was damaged, by a full disk or a crash of the machine: that root is over, too.
        if [ -z "$size" ] || [ "${end:-0}" -lt "$(date +%s)" ] || [ $count -gt $MOST_KEPT ] ||
            [ $((kilobytes * 1024)) -gt $LARGEST_KEPT ]; then
            (
                flock --nonblock 8 || exit 0
                set_aside "$1" "$name"
            ) 8<"$until" || true
        fi
    done
    discard_removed "$1"
}
