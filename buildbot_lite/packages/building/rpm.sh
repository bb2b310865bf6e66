# Builds of source RPMs: sh -euc "$(cat rpm.sh)" sh VERBS TARGET DIST USER, in a directory with the package in "in".
#
#   debian     prepare a root of Debian: RPM knows what is installed, and dnf can install the rest
#   unpack     unpack the source package, as USER
#   needs      install what it needs for TARGET, from the repositories in "repositories"; if packages of these have to be
#              fetched first, print a line "needs the package FILE" for each, install nothing, and end
#   installed  list all packages in out/installed.txt
#   build      build the packages for TARGET, as USER, into "out"
#
# VERBS: some of these, as one word with spaces.  TARGET: an architecture of RPM, or noarch.  DIST: the value of %dist.
# USER: the user that builds; empty: the caller.
verbs=$1 target=$2 dist=$3 user=$4
unset SOURCE_DATE_EPOCH
# $top belongs to USER.  Root writes to $work only: in $top it could follow links of USER's.
work=$PWD/prepared top=$PWD/rpmbuild

as_user() {
    if [ -z "$user" ]; then
        HOME=$top "$@"
    else
        HOME=$top setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs "$@"
    fi
}

fail() {
    echo "error: $1" >&2
    exit 1
}

# Path, host and times are the same for each build of a source, so that its packages are the same, too.
macros() {
    cat <<MACROS
%_topdir $top
%_buildhost farm
%dist ${dist:-%{nil\}}
%use_source_date_epoch_as_buildtime 1
%clamp_mtime_to_source_date_epoch 1
MACROS
}

# Make a package without files, called NAME, with further lines of its header from standard input.
empty_package() {
    mkdir -p "$work/empty"
    {
        printf 'Name: %s\nVersion: 1\nRelease: 1\nSummary: %s\nLicense: none\nAutoReqProv: no\n' "$1" "$1"
        cat
        printf '%%description\n%s\n%%files\n' "$1"
    } >"$work/empty/$1.spec"
    rpmbuild --quiet --define "_topdir $work/empty" --define "_buildhost farm" \
        --define "_rpmdir $work/empty" --define "_rpmfilename $1.rpm" -bb "$work/empty/$1.spec"
}

debian() {
    useradd --system --no-create-home --home-dir "$top" --shell /bin/sh "$user"
    echo '127.0.0.1 farm' >>/etc/hosts
    mkdir -p /etc/rpm
    # With Debian's own value, each user has a database of their own.
    echo '%_dbpath /var/lib/rpm' >/etc/rpm/macros
    # This package provides what the root has: Debian's packages, programs, libraries, and modules of pkg-config.  So
    # "BuildRequires: make" is satisfied, and so are packages of the farm that need libc.
    {
        dpkg-query --show --showformat '${db:Status-Status} ${Package} ${Version}\n' | awk '$1 == "installed" {
            sub(/^[0-9]+:/, "", $3); sub(/-[^-]*$/, "", $3); gsub(/-/, "_", $3); print $2 " = " $3
            if ($2 == "g++") print "gcc-c++ = " $3
            if ($2 == "libc6-dev") print "glibc-devel = " $3
            if ($2 == "xz-utils") print "xz = " $3
            if ($2 == "pkgconf" || $2 == "pkg-config") print "pkgconfig = " $3
        }'
        find /bin/ /sbin/ /usr/bin/ /usr/sbin/ -maxdepth 1 ! -type d
        find /usr/lib /usr/share -name '*.pc' -exec awk '/^Version:/ {
            name = FILENAME; gsub(/.*\/|\.pc$/, "", name)
            print "pkgconfig(" name ")" ($2 ~ /^[0-9.]+$/ ? " = " $2 : "")
        }' {} +
        find /usr/lib -name '*.so.*' -type f | /usr/lib/rpm/elfdeps --provides
        echo 'rtld(GNU_HASH)'
    } | sort -u | sed -e 's/%/%%/g' -e 's/^/Provides: /' | empty_package buildbot-lite-root
    rpm --force-debian --install "$work/empty/buildbot-lite-root.rpm"
}

unpack() {
    mkdir -p "$work" "$top"
    # HOME of USER is $top.
    macros >"$top/.rpmmacros"
    [ -z "$user" ] || chown "$user" "$top"
    # The time of all files in the packages: that of the last entry of the changelog, or of the source package.
    rpm --query --package --queryformat '[%{CHANGELOGTIME} ]%{BUILDTIME}\n' in/*.src.rpm | cut -d ' ' -f 1 >"$work/epoch"
    code=0
    as_user rpm --install in/*.src.rpm >"$work/taken" 2>&1 || code=$?
    # Omit the advice of Debian's rpm against its own use.
    sed '/^rpm: /d' "$work/taken"
    [ "$code" = 0 ] || exit "$code"
}

spec_file() {
    set -- "$top"/SPECS/*.spec
    [ $# = 1 ] && [ -f "$1" ] || fail "the source package has $# spec files, and one is needed"
    echo "$1"
}

needs() {
    spec=$(spec_file)
    as_user rpmspec --target "$target" --query --buildrequires "$spec" >"$work/needs"
    # A rebuild has the versions of the farm's packages that the first build had.  A line: name, version, architecture.
    [ ! -e wanted.txt ] || awk 'NF == 3 && $1 ~ /^[A-Za-z0-9][A-Za-z0-9+._-]*$/ && $2 ~ /^[0-9A-Za-z.+:~^_-]+$/ {
        print $1 " = " $2 }' wanted.txt >>"$work/needs"
    install_needs
    # Needs that the source itself computes, perhaps with the help of those that are installed already.
    grep -q '^%generate_buildrequires' "$spec" || return 0
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        code=0
        build_packages -br || code=$?
        [ "$code" != 0 ] || return 0
        [ "$code" = 11 ] || exit "$code"
        rpm --query --package --requires "$top"/SRPMS/*.buildreqs.nosrc.rpm >"$work/needs"
        install_needs
    done
    fail "the source needs more each time that it says what it needs"
}

install_needs() {
    # Each time another package: the one of an earlier time may be installed, with other needs.
    round=$(($(cat "$work/round" 2>/dev/null || echo 0) + 1))
    echo "$round" >"$work/round"
    # RPM printed the names with macros expanded; a "%" that is left is no macro.
    sed -e '/^rpmlib(/d' -e '/^$/d' -e 's/%/%%/g' -e 's/^/Requires: /' "$work/needs" | empty_package "buildbot-lite-needs-$round"
    needed=$work/empty/buildbot-lite-needs-$round.rpm
    fetch "$needed"
    set --
    for repository in repositories/*; do
        [ ! -d "$repository/repodata" ] || set -- "$@" "--repofrompath=${repository##*/},file://$PWD/$repository"
    done
    code=0
    dnf --noplugins --quiet --assumeyes --releasever=1 --setopt=reposdir=/dev/null --setopt=varsdir=/dev/null \
        --setopt=gpgcheck=0 --setopt=install_weak_deps=False "$@" install "$needed" >"$work/dnf" 2>&1 || code=$?
    cat "$work/dnf"
    [ "$code" != 0 ] || return 0
    missing=$(sed -n 's/^ *- nothing provides \(.*\) needed by .*/\1/p' "$work/dnf" | sort -u | head -n 10 | paste -s -d , - | sed 's/,/, /g')
    [ -z "$missing" ] || fail "neither the root nor a repository of the farm has $missing"
    exit "$code"
}

# If the package FILE can be installed, but only with packages of the repositories that are not there yet, print their
# names and end.
fetch() { # FILE
    set -- "$1" repositories/*/repodata
    [ -d "$2" ] || return 0
    python3 -I -c "$lacking" "$work/cache" "$@" >"$work/lacking"
    [ -s "$work/lacking" ] || return 0
    cat "$work/lacking"
    exit 0
}

# dnf's own choice of packages, by its documented API.
lacking=$(cat <<'LACKING'
import os, sys
import dnf

cache, needs, *places = sys.argv[1:]
base = dnf.Base()
base.conf.cachedir = cache
base.conf.install_weak_deps = False
base.conf.substitutions["releasever"] = "1"
directories = {}
for place in places:
    directory = os.path.abspath(os.path.dirname(place))
    name = os.path.basename(directory)
    directories[name] = directory
    base.repos.add_new_repo(name, base.conf, baseurl=["file://" + directory])
base.fill_sack()
base.package_install(base.add_remote_rpms([needs])[0])
try:
    base.resolve()
except dnf.exceptions.DepsolveError:
    # The command that installs says why.
    sys.exit()
for package in base.transaction.install_set:
    if package.reponame in directories and not os.path.exists(os.path.join(directories[package.reponame], package.location)):
        print("needs the package " + os.path.basename(package.location))
LACKING
)

installed() {
    {
        ! command -v dpkg-query >/dev/null || dpkg-query --show --showformat '${binary:Package} ${Version}\n'
        rpm --query --all --queryformat '%{NAME} %{EVR} %{ARCH}\n' | sed '/^buildbot-lite-/d' | sort
    } >out/installed.txt
}

build_packages() { # OPTION
    spec=$(spec_file)
    checked=
    # On a machine with Debian (no root), RPM does not know what is installed.
    rpm --query --all | grep -q . || checked=--nodeps
    SOURCE_DATE_EPOCH=$(cat "$work/epoch") as_user rpmbuild --target "$target" $checked "$1" "$spec"
}

build() {
    build_packages -bb
    find "$top/RPMS" -type f -name '*.rpm' -exec cp --no-preserve=all -t out {} +
}

for verb in $verbs; do
    "$verb"
done
