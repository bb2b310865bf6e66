# Clean roots for builds of packages: sh -c "$(cat overlay.sh)" overlay VERB ARGUMENT…
#
#   base BASES SUITE ARCH MIRROR SECONDS PACKAGES   make BASES/current, a root of Debian, unless it is younger than that
#   begin BASES ROOT                                 begin a root of its own over BASES/current
#   run ROOT DIRECTORY ARCH NETWORK COMMAND…         run COMMAND in it, with DIRECTORY as /build; NETWORK: yes or no
#   remove DIRECTORY…                                remove them, also files of subordinate user ids
#
# A root is the base with an overlay above it, mounted anew for each command in a mount namespace of that command, so
# that nothing stays mounted when the command ends, however it ends.  An ordinary user does it in a user namespace
# (user_namespaces(7), "Interaction of mount namespaces"), in which overlayfs needs "userxattr".
set -eu
umask 022
export LC_ALL=C.UTF-8

# An ordinary user's PATH may lack pivot_root.
export PATH="$PATH:/usr/sbin:/sbin"

# What root in a root may do, of capabilities(7): what installing and building packages needs.
capabilities=+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+setfcap,+net_bind_service,+sys_chroot,+audit_write

# Exit codes, for the step.
NO_NAMESPACES=96 NO_TOOL=97

fail() { # CODE SENTENCE
    echo "$2" >&2
    exit "$1"
}

need() {
    for tool; do
        command -v "$tool" >/dev/null || fail $NO_TOOL "This machine has no $tool (Debian: apt install mmdebstrap uidmap util-linux)."
    done
}

if [ "$(id -u)" = 0 ]; then
    map= xattr=
else
    map="--map-auto --map-root-user" xattr=,userxattr
fi

namespaces() {
    need unshare
    why=$(unshare $map --mount true 2>&1) || fail $NO_NAMESPACES "This machine does not let $(id -un) make namespaces ($why).  \
Allow it: a line in /etc/subuid and /etc/subgid (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)), \
and sysctl kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0 where these exist."
}

remove() {
    for directory; do
        rm -rf -- "$directory" 2>/dev/null || unshare $map rm -rf -- "$directory"
    done
}

base() { # BASES SUITE ARCH MIRROR SECONDS PACKAGES
    bases=$1 suite=$2 arch=$3 mirror=$4 seconds=$5 packages=$6
    need mmdebstrap flock
    namespaces
    mkdir -p "$bases"
    exec 9>"$bases/.lock"
    flock 9
    if [ -e "$bases/current" ] && [ $(($(date +%s) - $(stat -c %Y "$(readlink -f "$bases/current").lock"))) -lt "$seconds" ]; then
        exit 0
    fi
    # Bases that were current before the last one and are not in use.
    for old in "$bases"/base.*.lock; do
        [ -e "$old" ] || continue
        directory=${old%.lock}
        [ "$(readlink "$bases/current" 2>/dev/null || true)" != "${directory##*/}" ] || continue
        if flock -n -x "$old" true; then remove "$directory" "$old"; fi
    done
    incoming=$bases/.incoming new=base.$(date +%s).$$
    remove "$incoming" "$incoming.tar"
    [ -n "$map" ] && mode=unshare || mode=root
    echo "making a root of $suite for $arch" >&2
    mmdebstrap --quiet --variant=buildd --mode=$mode --architectures="$arch" --skip=cleanup/apt/lists \
        ${packages:+"--include=$packages"} --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$suite" "$incoming.tar" "deb $mirror $suite main" >&2
    mkdir "$incoming"
    unshare $map --mount tar -C "$incoming" -xpf "$incoming.tar" --exclude='./dev/*'
    rm -f "$incoming.tar"
    : >"$bases/$new.lock"
    mv "$incoming" "$bases/$new"
    ln -sfn "$new" "$bases/.next"
    mv -T "$bases/.next" "$bases/current"
}

begin() { # BASES ROOT
    bases=$1 root=$2
    namespaces
    remove "$root"
    mkdir -p "$root/mount" "$root/upper" "$root/work"
    ln -s "$(readlink -f "$bases/current")" "$root/base"
}

run() { # ROOT DIRECTORY ARCH NETWORK COMMAND…
    root=$(readlink -f "$1") directory=$(readlink -f "$2") arch=$3 network=$4
    shift 4
    need unshare flock pivot_root
    base=$(readlink -f "$root/base")
    # As long as a command runs, its base stays.
    exec 8<"$base.lock"
    flock -s 8
    case $arch in
        i386 | i686 | i586) personality="setarch i686" ;;
        *) personality= ;;
    esac
    [ "$network" = yes ] && alone= || alone=--net
    export base root directory xattr network map capabilities
    exec $personality unshare $map --mount --pid --fork --kill-child --ipc --uts $alone --mount-proc sh -euc '
        m=$root/mount
        mount -t overlay root -o "lowerdir=$base,upperdir=$root/upper,workdir=$root/work$xattr" "$m"
        mkdir -p "$m/build"
        mount --bind "$directory" "$m/build"
        mount -t proc proc "$m/proc"
        mount -t tmpfs -o mode=755 dev "$m/dev"
        for device in null zero full random urandom tty; do
            : >"$m/dev/$device"
            mount --bind "/dev/$device" "$m/dev/$device"
        done
        mkdir "$m/dev/shm"
        mount -t tmpfs shm "$m/dev/shm"
        ln -s /proc/self/fd "$m/dev/fd"
        ln -s fd/0 "$m/dev/stdin"
        ln -s fd/1 "$m/dev/stdout"
        ln -s fd/2 "$m/dev/stderr"
        [ "$network" = no ] || cp -L /etc/resolv.conf "$m/dev/resolv.conf" 2>/dev/null || true
        hostname farm
        ip link set lo up 2>/dev/null || true
        # Root on the machine itself could change it by way of these, without any capability.
        for entry in sys sysrq-trigger irq bus fs; do
            [ -n "$map" ] || [ ! -e "$m/proc/$entry" ] || mount --bind -o ro "$m/proc/$entry" "$m/proc/$entry"
        done
        # No chroot: root can leave it (chroot(2)).  Here no mount of the machine is left to go to.
        mkdir "$m/dev/.machine"
        pivot_root "$m" "$m/dev/.machine"
        cd /
        chroot /dev/.machine umount --lazy --no-mtab /
        rmdir /dev/.machine
        # Only now: in a root that was built in, /etc may be a link.
        rm -f /etc/resolv.conf
        [ ! -e /dev/resolv.conf ] || mv /dev/resolv.conf /etc/
        # And no device can be made, no file be opened by its handle.
        exec setpriv --bounding-set "-all,$capabilities" env -C /build -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-}" "$@" 8<&-
    ' sh "$@"
}

verb=$1
shift
"$verb" "$@"
