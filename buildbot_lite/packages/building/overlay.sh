# Clean roots for builds of packages: sh -c "$(cat root_head.sh kept.sh overlay.sh)" overlay VERB ARGUMENT…
#
#   begin ROOT BASES SUITE ARCH MIRROR SECONDS PACKAGES   begin a root over BASES/current, a base of Debian; make the base
#                                                         first, unless there is one that is younger than SECONDS; if
#                                                         that fails, an older one is used
#   prepare ROOT DIRECTORY ARCH LIMITS NETWORK COMMAND…   run COMMAND in it, with DIRECTORY as /build; NETWORK: yes or no
#   build ROOT DIRECTORY ARCH LIMITS COMMAND…             the same without the network, for code that is not trusted;
#                                                         afterwards, nothing more is run in the root
#   remove DIRECTORY…                                     remove these, with files that belong to subordinate user ids
#   claim, clear, keep, enter, …                          see kept.sh
#
# LIMITS: three numbers with commas between them: bytes of memory (0: nine tenths of the machine's), processes, and bytes
# on the disk.
#
# A root is the base with an overlay above it.  It is mounted for each command, in a mount namespace of that command, so
# nothing stays mounted when the command has ended, however it ended.  An ordinary user does it in a user namespace
# (user_namespaces(7), "Interaction of mount namespaces"), in which overlayfs needs "userxattr".
#
#   sh, in the user namespace: starts the others and watches how much they use
#   '-- unshare: makes the namespaces of processes, mounts, …; when it ends, the kernel ends all processes below it
#       '-- sh: the first process in the root, which no other survives: mounts the root, then runs COMMAND in it
#           '-- sh: changes the root directory of the first process, and unmounts the machine's

# An ordinary user's PATH may lack pivot_root.
export PATH="$PATH:/usr/sbin:/sbin"

# The capabilities of root in a root (capabilities(7)): those that installing and building packages needs.
capabilities=+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+setfcap,+net_bind_service,+sys_chroot,+audit_write

OVER_LIMIT=98

# The exit codes that are those of this program, so that a build cannot speak for it: they become 1.  A command of somebody
# who enters a root may have any.
RESERVED=9[6-9]
reserved=

# Days without a build after which the bases of a suite, an architecture and a choice of packages are removed.
UNUSED_DAYS=28
# Seconds after a failure to make a base again, in which builds use the old one without another attempt.
RETRY_AFTER=600

# Seconds that making a base again may take, because there is an old one.
LONGEST_AGAIN=1200
limit="timeout --kill-after=60 $LONGEST_MAKING"

# People read these sentences in their terminals, too.
fail() { # CODE SENTENCE
    echo "$2" >&2
    exit "$1"
}

need() {
    for tool; do
        command -v "$tool" >/dev/null || fail $NO_TOOL "This machine has no $tool (Debian: apt install mmdebstrap uidmap util-linux)."
    done
}

[ -n "$map" ] && xattr=,userxattr || xattr=

namespaces() {
    need unshare
    # Where the kernel refuses, the process that unshare has begun for --map-auto waits for ever, with our pipe (util-linux
    # 2.38): so first without.
    why=$({ [ -z "$map" ] || unshare --map-root-user --mount true; } 2>&1 && unshare $map --mount true 2>&1) || fail $NO_NAMESPACES "This machine does not let $(id -un) make namespaces ($why).  \
Allow it: a line in /etc/subuid and /etc/subgid (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)), \
and sysctl kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0 where these exist."
}

remove() {
    erase "$@"
}

in_use() { # BASE
    for user in "$1.uses"/*; do
        for link in base built; do
            if [ "$(readlink "$user/$link" 2>/dev/null || true)" = "$1" ]; then return 0; fi
        done
    done
    return 1
}

# Remove what a killed making of a base has left, and earlier bases that are not in use.
sweep() { # BASES
    temporary=$(readlink "$1/.temporary" 2>/dev/null || true)
    if [ -n "$temporary" ] && [ -O "$temporary" ] && [ ! -L "$temporary" ]; then remove "$temporary"; fi
    remove "$1/.incoming" "$1/.incoming.tar" "$1/.temporary"
    for made in "$1"/base.*.made; do
        old=${made%.made}
        [ -e "$made" ] && [ "$(readlink "$1/current")" != "${old##*/}" ] || continue
        if ! in_use "$old"; then remove "$old" "$old.uses" "$old.tar" "$old.tar.incoming" "$made"; fi
    done
}

# Remove the bases beside BASES that no build has used for long.  Their directories stay, because a build may be waiting
# for the lock.
sweep_unused() { # BASES
    for lock in "${1%/*}"/*/.lock; do
        # The time of the lock is that of the last build: each one opens it for writing, also before it waits for it.
        (
            flock --nonblock 8 && [ -n "$(find "$lock" -mtime +$((UNUSED_DAYS - 1)))" ] || exit 0
            rm -f "${lock%/.lock}/current"
            sweep "${lock%/.lock}"
        ) 8<"$lock"
    done
}

begin() { # ROOT BASES SUITE ARCH MIRROR SECONDS PACKAGES
    root=$1 suite=$3 arch=$4 mirror=$5 seconds=$6 packages=$7
    need mmdebstrap flock setpriv
    namespaces
    mkdir -p "$2"
    bases=$(readlink -f "$2")
    # One build at a time, so that no base is removed between its making and its use.
    lock_bases "$bases"
    sweep "$bases"
    sweep_unused "$bases"
    sweep_kept "$bases/../kept"
    if [ ! -e "$bases/current" ]; then
        make_base
    elif [ "$(age "$(readlink -f "$bases/current").made")" -ge "$seconds" ]; then
        make_base_again
    fi
    remove "$root"
    # Other users of this machine must not reach what builds make: it may have programs with the set-user-ID bit.
    mkdir -p "$root"
    chmod 700 . "$root"
    root=$(readlink -f "$root")
    base=$(readlink -f "$bases/current")
    mkdir -p "$root/mount" "$root/upper" "$root/work"
    use "$base" "$root"
    ln -s "$base" "$root/base"
}

use() { # BASE ROOT
    mkdir -p "$1.uses"
    ln -sfn "$2" "$1.uses/$(printf %s "$2" | cksum | tr ' ' -)"
}

# Print the seconds since FILE was written.
age() { # FILE
    echo $(($(date +%s) - $(stat -c %Y "$1")))
}

# The mirror may be away, and most builds do not need it.
make_base_again() {
    if [ ! -e "$bases/.failed" ] || [ "$(age "$bases/.failed")" -ge $RETRY_AFTER ]; then
        # Before the attempt: this build may be killed meanwhile.
        : >"$bases/.failed"
        # In a condition, the shell would ignore the failures of single commands.
        set +e
        (
            set -e
            limit="timeout --kill-after=60 $LONGEST_AGAIN"
            make_base
        )
        code=$?
        set -e
        [ $code != 0 ] || return 0
        : >"$bases/.failed"
        sweep "$bases"
    fi
    made=$(date -d "@$(stat -c %Y "$(readlink -f "$bases/current").made")" "+%Y-%m-%d %H:%M")
    echo "warning: the base of $suite for $arch could not be made again, so that of $made is used; \
the next build after $(date -d "@$(($(stat -c %Y "$bases/.failed") + RETRY_AFTER))" +%H:%M) tries again" >&2
}

make_base() {
    incoming=$bases/.incoming new=base.$(date +%s).$$
    # As root, mmdebstrap mounts in the mount namespace of its caller; in a namespace of its own, the mounts end with it.
    [ -n "$map" ] && mode=unshare enter= || mode=root enter="unshare --mount"
    # Not below BASES: in "unshare" mode, subordinate users must reach this directory, and they may not reach BASES.
    temporary=$(mktemp -u)
    ln -sfn "$temporary" "$bases/.temporary"
    mkdir -m 755 "$temporary"
    echo "making a root of $suite for $arch" >&2
    # mmdebstrap refuses other architectures without this program, also those that the machine runs, such as i386.
    command -v arch-test >/dev/null && skip= || skip=,check/qemu
    # With --force-unsafe-io, dpkg does not wait for the disk after each package, neither here nor in the roots over this
    # base: all of it can be made again.
    TMPDIR=$temporary $limit $enter mmdebstrap --quiet --variant=buildd --mode=$mode --architectures="$arch" --skip=cleanup/apt/lists$skip \
        ${packages:+"--include=$packages"} --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt=force-unsafe-io \
        "$suite" "$incoming.tar" "deb $mirror $suite main" >&2 || not_made $?
    mkdir "$incoming"
    unshare $map --mount tar -C "$incoming" -xpf "$incoming.tar" --exclude='./dev/*'
    mv "$incoming" "$bases/$new"
    : >"$bases/$new.made"
    ln -sfn "$new" "$bases/.next"
    mv -T "$bases/.next" "$bases/current"
    rm -f "$bases/.failed"
    sweep "$bases"
}

not_made() { # CODE
    case $1 in 124 | 137) echo "the making of a root of $suite for $arch was ended: it took too long" >&2 ;; esac
    exit "$1"
}

prepare() { # ROOT DIRECTORY ARCH LIMITS NETWORK COMMAND…
    built=$(readlink "$1/built") || true
    [ -z "$built" ] || fail $DAMAGED "Something was built in this root, so nothing more is installed in it."
    reserved=$RESERVED
    run base "$@"
}

build() { # ROOT DIRECTORY ARCH LIMITS COMMAND…
    root=$1 directory=$2 arch=$3 limits=$4
    shift 4
    mv -T "$root/base" "$root/built" 2>/dev/null || fail $DAMAGED "Something was built in this root already."
    # The build can write what it likes into its copy.
    list=$directory/out/installed.txt
    [ -L "${list%/*}" ] || [ -L "$list" ] || [ ! -f "$list" ] || cp "$list" "$root/installed.txt"
    reserved=$RESERVED
    run built "$root" "$directory" "$arch" "$limits" no "$@"
}

# WHAT: "base" or "built", the link in ROOT to what the overlay is over, or "tree", a directory in ROOT with all files, also
# those of DIRECTORY, which is empty then.
run() { # WHAT ROOT DIRECTORY ARCH LIMITS NETWORK COMMAND…
    root=$(readlink -f "$2") directory=${3:+$(readlink -f "$3")} arch=$4 network=$6
    base=$(readlink -f "$root/$1")
    [ "$1" = tree ] && written=$base || written=$root/upper
    IFS=, read -r memory processes disk <<LIMITS
$5
LIMITS
    shift 6
    need unshare pivot_root setpriv prlimit
    case $arch in
        i386 | i686 | i586) personality="setarch i686" ;;
        *) personality= ;;
    esac
    [ "$network" = yes ] && alone= || alone=--net
    if [ "$memory" = 0 ]; then
        read -r _ kilobytes _ </proc/meminfo
        memory=$((kilobytes / 10 * 9 * 1024))
    fi
    # In a user namespace, this counts all processes of its user, whichever ids they have there (since Linux 5.14); root
    # on the machine itself has no such limit.  The margin is for what else the user runs.
    most=$(prlimit --nproc --output HARD --noheadings --raw)
    if [ "$most" = unlimited ] || [ "$most" -gt $((processes + 1000)) ]; then most=$((processes + 1000)); fi
    export base root written directory xattr network map capabilities alone memory processes disk OVER_LIMIT reserved mounting watching \
        by_number by_descriptor
    exec $personality prlimit --core=0 --nproc="$most" unshare $map sh -euc "$watching" sh "$@"
}

# Run in the user namespace.  Each process that it starts ends with its parent, however early that dies
# (keeper/parent_death.py); the first process in the namespaces cannot know the number of its own, unshare.
#
# Neither text may have more than 4096 bytes: sh would start a process to write it, and wait for that no more than anybody.
watching=$(cat <<'WATCHING'
    rm -f "$root/ended"
    exec 4<&0
    tied() { # PARENT COMMAND…
        exec setpriv --pdeathsig KILL sh -c "$by_number" tied "$@"
    }
    tied $$ unshare --mount --pid --fork --kill-child --ipc --uts $alone --mount-proc \
        sh -c "$by_descriptor" tied sh -euc "$mounting" sh "$@" <&4 4<&- 9<&- &
    command=$!
    exec 4<&-
    # The loops below end with the command, also if this shell was killed.  They do not hold the lock of a kept root.
    runs() { [ -e "/proc/$command" ]; }
    page=$(getconf PAGESIZE)
    end() { # SENTENCE
        echo "$1" >"$root/ended"
        kill -KILL $command
        exit
    }
    mb() { echo "$(($1 / 1000000)) MB"; }
    # The watching processes are told to end, and end their own: none is left that was not waited for, because that would be
    # taken for one of the build.
    stop() {
        if [ "$!" != "$ended" ]; then
            kill -KILL $! 2>/dev/null || true
            wait $! || true
        fi
        exit
    }
    try() { # COMMAND…
        tied "$watcher" "$@" &
        wait $! || true
        ended=$!
    }
    # Count the processes, their memory, and the free space on the disk.
    watch_machine() {
        ended=$!
        trap stop TERM
        read -r watcher _ </proc/self/stat
        while try sleep 1 && runs; do
            first=
            read -r first _ <"/proc/$command/task/$command/children" || [ -n "$first" ] || continue
            # All descend from the first one, also those whose parents have ended.  They are not read from the /proc of the
            # root: the build may have moved the root of the first process.
            count=0 pages=0 generation=$first
            while [ -n "$generation" ] && [ $count -le $processes ]; do
                following=
                for each in $generation; do
                    read -r _ resident shared _ <"/proc/$each/statm" || continue
                    count=$((count + 1)) pages=$((pages + resident - shared))
                    for thread in "/proc/$each/task"/*/children; do
                        children=
                        read -r children <"$thread" || [ -n "$children" ] || continue
                        following="$following $children"
                    done
                done
                generation=$following
            done
            [ $count -le $processes ] || end "The build was ended: it had more than $processes processes (the limit; processes=)."
            [ $((pages * page)) -le $memory ] || end "The build was ended: it used more than $(mb $memory) of memory (the limit; memory=)."
            set -- $(stat -f -c "%a %S %c %d" "$root")
            [ $(($1 * $2)) -ge $RESERVE ] || end "The build was ended: the disk has less than $(mb $RESERVE) left."
            [ $3 = 0 ] || [ $4 -ge $RESERVED_FILES ] || end "The build was ended: the disk has room for less than $RESERVED_FILES more files."
        done
    }
    # Count what the build has written, less often, because it takes long where there are many files.
    watch_disk() {
        ended=$!
        trap stop TERM
        read -r watcher _ </proc/self/stat
        pause=2
        while try sleep $pause && runs; do
            began=$(date +%s)
            kilobytes=0
            try du -skx -- "$written" ${directory:+"$directory"} >"$root/used" || continue
            while read -r each _; do kilobytes=$((kilobytes + each)); done <"$root/used"
            [ $((kilobytes * 1024)) -le $disk ] || end "The build was ended: it wrote more than $(mb $disk) (the limit; disk=)."
            pause=$((2 + 10 * ($(date +%s) - began)))
        done
    }
    watch_machine >/dev/null 2>&1 9<&- &
    machine=$!
    watch_disk >/dev/null 2>&1 9<&- &
    written=$!
    code=0
    wait $command || code=$?
    kill -TERM $machine $written 2>/dev/null || true
    wait
    [ ! -s "$root/ended" ] || { cat "$root/ended" >&2; exit $OVER_LIMIT; }
    case $code in $reserved) code=1 ;; esac
    exit $code
WATCHING
)

# Run by the first process in the namespaces.
mounting=$(cat <<'MOUNTING'
    # If the machine has no memory left, the kernel ends processes of builds first.
    echo 500 >/proc/self/oom_score_adj
    m=$root/mount
    if [ "$written" = "$base" ]; then
        mount --bind "$base" "$m"
    else
        mount -t overlay root -o "lowerdir=$base,upperdir=$written,workdir=$root/work$xattr" "$m"
    fi
    # In a root in which something was built, these may be links.
    for each in build proc dev etc; do
        [ ! -L "$m/$each" ] || rm -f "$m/$each"
        mkdir -p "$m/$each"
    done
    [ -z "$directory" ] || mount --bind "$directory" "$m/build"
    mount -t proc proc "$m/proc"
    mount -t tmpfs -o mode=755,size=1m dev "$m/dev"
    for device in null zero full random urandom tty; do
        : >"$m/dev/$device"
        mount --bind "/dev/$device" "$m/dev/$device"
    done
    mkdir "$m/dev/shm" "$m/dev/pts" "$m/dev/.machine" "$m/dev/.tools"
    mount -t tmpfs -o mode=1777,size=25% shm "$m/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$m/dev/pts"
    ln -s pts/ptmx "$m/dev/ptmx"
    ln -s /proc/self/fd "$m/dev/fd"
    ln -s fd/0 "$m/dev/stdin"
    ln -s fd/1 "$m/dev/stdout"
    ln -s fd/2 "$m/dev/stderr"
    [ "$network" = no ] || cp -L /etc/resolv.conf "$m/dev/resolv.conf" 2>/dev/null || true
    hostname farm
    ip link set lo up 2>/dev/null || true
    # Through these, root (if the slave runs as root) could change the machine without any capability.
    for entry in sys sysrq-trigger irq bus fs acpi asound driver mtrr scsi; do
        [ -n "$map" ] || [ ! -e "$m/proc/$entry" ] || mount --bind -o ro "$m/proc/$entry" "$m/proc/$entry"
    done

    # No chroot: root can leave it (chroot(2)).  After pivot_root(2) and umount, no mount of the machine is left to go to.
    # Programs for both come from the machine, because those of a root may be replaced by what was built in it: another
    # process moves the root of this one, which has given up its capabilities and waits, and a third one unmounts the
    # machine's file systems.
    mount --rbind / "$m/dev/.tools"
    mkfifo "$m/dev/.ready" "$m/dev/.moved" "$m/dev/.left" "$m/dev/.loaded"
    exec 5<>"$m/dev/.ready" 6<>"$m/dev/.moved" 7<>"$m/dev/.left" 8<>"$m/dev/.loaded"
    rm "$m/dev/.ready" "$m/dev/.moved" "$m/dev/.left" "$m/dev/.loaded"
    (
        exec </dev/null >&2
        {
            chroot "$m/dev/.tools" sh -euc '
                echo yes >&5
                read -r moved <&6
                [ "$moved" = yes ]
                umount --no-canonicalize --lazy --no-mtab /proc/1/root/dev/.machine
                umount --no-canonicalize --lazy --no-mtab /proc/1/root/dev/.tools
                echo yes >&7
            ' || { echo no >&5; echo no >&7; }
        } &
        read -r ready <&5
        [ "$ready" = yes ]
        # The first process loads its programs from the machine, so it must wait already.
        read -r loaded <&8
        cd "$m"
        pivot_root . dev/.machine || { echo no >&6; exit; }
        echo yes >&6
    ) &
    # No device can be made, and no file be opened by its handle.
    exec setpriv --bounding-set "-all,$capabilities" sh -euc '
        echo yes >&8
        read -r left <&7
        [ "$left" = yes ] || exit 99
        exec 5<&- 6<&- 7<&- 8<&-
        cd /
        rmdir /dev/.machine /dev/.tools
        rm -f /etc/resolv.conf
        [ ! -e /dev/resolv.conf ] || mv /dev/resolv.conf /etc/
        exec env -C /build -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TERM="${TERM:-dumb}" \
            DEBIAN_FRONTEND=noninteractive ${SOURCE_DATE_EPOCH:+"SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH"} "$@"
    ' sh "$@"
MOUNTING
)

verb=$1
shift
"$verb" "$@"
