# Builds of source RPMs with mock(1): sh -c "$(cat root_head.sh kept.sh mock.sh)" mock VERB ARGUMENT…
#
#   prepare ROOT DIRECTORY CONFIG TARGET KEPT
#                                          make a root of the configuration CONFIG, install what the package in DIRECTORY/in
#                                          needs for TARGET, and list all packages in DIRECTORY/out/installed.txt
#   build ROOT DIRECTORY CONFIG TARGET DIST
#                                          build the package in that root, with DIST as %dist; packages go to DIRECTORY/out
#   claim, clear, keep                     see kept.sh
#
# Each build has a root of its own beside others of the same CONFIG (mock's "uniqueext"); its name is in ROOT/made.

check() {
    command -v mock >/dev/null || fail $NO_TOOL "This machine has no mock (Fedora and its relatives: dnf install mock; then \
usermod --append --groups mock $(id -un))."
}

in_mock() { # RESULTS ARGUMENT…
    results=$1
    shift
    mkdir -p "$results"
    mock --root="$config" --uniqueext="$unique" --resultdir="$results" --no-cleanup-after "$@"
}

prepare() { # ROOT DIRECTORY CONFIG TARGET KEPT
    check
    sweep_kept "$5"
    mkdir -p "$1"
    root=$(readlink -f "$1") config=$3 target=$4
    cd "$2"
    unique=buildbot-lite-$(printf %s "$root" | cksum | cut -d ' ' -f 1)-$$
    echo "$config $unique" >"$root/made"
    shift 5
    for repository in "$PWD"/repositories/*; do
        [ ! -d "$repository/repodata" ] || set -- "$@" "--addrepo=file://$repository"
    done
    code=0
    in_mock "$root/init" "$@" --init || code=$?
    [ "$code" = 0 ] || explain "$code" "$root/init"
    in_mock "$root/needs" "$@" --target="$target" --no-clean --installdeps in/*.src.rpm || code=$?
    [ "$code" = 0 ] || explain "$code" "$root/needs"
    in_mock "$root/list" --quiet --chroot -- rpm -qa --queryformat \
        '%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{ARCH}\n' >"$root/installed" || code=$?
    [ "$code" = 0 ] || explain "$code" "$root/list"
    LC_ALL=C sort "$root/installed" >out/installed.txt
}

build() { # ROOT DIRECTORY CONFIG TARGET DIST
    root=$(readlink -f "$1") target=$4 dist=$5
    cd "$2"
    read -r config unique <"$root/made"
    # Host and times are the same for each build of a source, so that its packages are the same, too.
    set -- "--define=_buildhost farm" "--define=source_date_epoch_from_changelog 1" \
        "--define=use_source_date_epoch_as_buildtime 1" "--define=clamp_mtime_to_source_date_epoch 1"
    [ -z "$dist" ] || set -- "$@" "--define=dist $dist"
    mkdir -p "$root/built"
    # Show what rpmbuild prints while it runs.
    : >"$root/built/build.log"
    in_mock "$root/built" --target="$target" --no-clean "$@" --rebuild in/*.src.rpm >"$root/said" 2>&1 &
    building=$!
    tail --quiet -n +1 -F --sleep-interval=1 --pid=$building "$root/built/build.log" 2>/dev/null &
    shown=$!
    code=0
    wait $building || code=$?
    wait $shown || true
    cat "$root/said"
    [ "$code" = 0 ] || explain "$code" "$root/built"
    find "$root/built" -maxdepth 1 -type f -name '*.rpm' ! -name '*.src.rpm' -exec cp --no-preserve=all -t out {} +
}

# Fail with the meaning of an exit code of mock (mock's exception.py) and what its logs in RESULTS say.
explain() { # CODE RESULTS
    case $1 in
        1 | 10)
            # mock uses both for a build that failed.
            why=$(sed -n 's/^error: //p' "$2/build.log" 2>/dev/null | tail -n 1)
            stage=$(unfinished "$2/state.log")
            fail $FAILED "mock failed${stage:+ in \"$stage\"}${why:+: $why}"
            ;;
        2) fail $FAILED "mock may not become root: $(id -un) has to be in the group mock (usermod --append --groups mock $(id -un))" ;;
        3) fail $FAILED "mock cannot use its configuration $config" ;;
        5) fail $FAILED "mock does not know an argument, or has no configuration $config in /etc/mock" ;;
        6) fail $FAILED "mock cannot build for $target with $config on this machine" ;;
        11) fail $FAILED "mock ended the build because it took too long (rpmbuild_timeout)" ;;
        20) fail $FAILED "mock could not make the root: $(last_line "$2/root.log")" ;;
        30 | 31)
            missing=$(missing_in "$2/root.log")
            [ -z "$missing" ] || fail $FAILED "neither the root nor a repository has $missing"
            fail $FAILED "mock could not install what the package needs: $(last_line "$2/root.log")"
            ;;
        40) fail $FAILED "mock cannot read the source package" ;;
        60) fail $FAILED "the root of mock is in use by another process" ;;
        70) fail $FAILED "mock cannot write its results to $2" ;;
        80) fail $FAILED "this machine does not let mock make namespaces" ;;
        90) fail $FAILED "mock could not make the root from which it makes others (bootstrap): $(last_line "$2/root.log")" ;;
        *) fail $FAILED "mock ended with the exit code $1" ;;
    esac
}

# Print the part of its work that mock began last, except what it does after a failure.
unfinished() { # STATE.LOG
    sed -n 's/^.* - Start: //p' "$1" 2>/dev/null | grep -v -e '^clean chroot$' -e '^Outputting list' | tail -n 1
}

missing_in() { # ROOT.LOG
    sed -n -e "s/^.*No matching package to install: '\(.*\)'.*/\1/p" -e 's/^.*nothing provides \(.*\) needed by .*/\1/p' \
        -e 's/^.*No match for argument: //p' "$1" 2>/dev/null | sort -u | head -n 10 | paste -s -d , - | sed 's/,/, /g'
}

last_line() { # LOG
    sed -n -e 's/^[A-Z]* [a-z_]*\.py:[0-9]*:  *//' -e '/[Ee]rror/p' "$1" 2>/dev/null | tail -n 1 | cut -c 1-200
}

verb=$1
shift
"$verb" "$@"
