# Builds of Debian packages with sbuild(1), by an ordinary user:
# sh -c "$(cat root_head.sh kept.sh sbuild.sh)" sbuild VERB ARGUMENT…
#
#   check                                    fail if this user cannot build with sbuild
#   pack ROOT                                make an archive of the base of ROOT for sbuild, unless there is one
#   build ROOT DIRECTORY SUITE ARCH SOURCE BUILD
#                                            build the source package in DIRECTORY/SOURCE, with the packages in
#                                            DIRECTORY/repositories; results go to DIRECTORY/out.  After a failure
#                                            sbuild's root stays, for kept.sh or for "clear"
#   claim, clear                             see kept.sh
#
# BUILD: any or all.
#
#   BASE of overlay.sh ──pack──► BASE.tar ──► ROOT/session/…, made by sbuild for one build

check() {
    command -v sbuild >/dev/null || fail $NO_TOOL "This machine has no sbuild (Debian: apt install sbuild)."
    [ "$(id -u)" != 0 ] || fail $NO_NAMESPACES "sbuild builds for ordinary users only, and this slave runs as root: let it run \
as another user, or give its policy one (slave.tac: user=…), with a line in /etc/subuid and /etc/subgid."
}

pack() { # ROOT
    base=$(readlink -f "$1/base")
    # A part that a killed build has left is overwritten.  Under this lock, bases are made and removed.
    lock_bases "${base%/*}"
    [ -e "$base.tar" ] || {
        unshare --map-auto --map-root-user tar -C "$base" --numeric-owner -cf - . >"$base.tar.incoming"
        mv "$base.tar.incoming" "$base.tar"
    }
}

build() { # ROOT DIRECTORY SUITE ARCH SOURCE BUILD
    root=$(readlink -f "$1") directory=$(readlink -f "$2") suite=$3 arch=$4 source=$5
    base=$(readlink -f "$root/base")
    # Subordinate users must reach this directory, and they may not reach ROOT.
    session=$(mktemp -u)
    # The link first: whenever this is killed, the directory is found.
    ln -sfn "$session" "$root/session"
    mkdir -m 700 "$session"
    lend "$session"
    mkdir -p "$root/home"
    # In Perl.  The log shall have the paths as they are.
    echo '$unshare_tmpdir_template = "$ENV{BUILD_SESSION}/root.XXXXXXXXXX"; $log_filter = 0; 1;' >"$root/home/config"
    case $6 in
        all) set -- --arch-all --no-arch-any ;;
        *) set -- --no-arch-all --arch-any ;;
    esac
    preferences=$root/home/preferences distribution=--no-apt-distupgrade
    rm -f "$preferences"
    # A rebuild has the packages of the first build, which may be earlier versions than those of the base.
    if [ -e "$directory/wanted.txt" ]; then
        distribution=--apt-distupgrade
        pins <"$directory/wanted.txt" >"$preferences"
    fi
    for package in "$directory"/repositories/*/pool/*.deb; do
        [ -e "$package" ] || continue
        # The build shall have the packages that were sent, even if the distribution has later ones.
        dpkg-deb --show "$package" | pins >>"$preferences"
        set -- "$@" "--extra-package=$package"
    done
    if [ -e "$preferences" ]; then
        quoted=$(printf %s "$preferences" | sed -e "s/'/'\\\\''/g" -e 's/%/%%/g')
        set -- "$@" --pre-build-commands="cat '$quoted' | %e sh -c 'cat >/etc/apt/preferences.d/farm'"
    fi
    cd "$directory/out"
    code=0
    HOME=$root/home SBUILD_CONFIG=$root/home/config BUILD_SESSION=$session \
        perl -e "$reporting" sbuild --verbose --batch --nolog --chroot-mode=unshare --chroot="$base.tar" --dist="$suite" \
        --arch="$arch" --no-source --no-clean-source --build-path=/build/out --dsc-dir=src --build-dir="$directory/out" \
        --no-apt-update --no-apt-upgrade $distribution --no-run-lintian --no-run-piuparts --no-run-autopkgtest \
        --bd-uninstallable-explainer= --purge-build=successful --purge-session=successful --jobs="$(nproc)" \
        --log-external-command-output --starting-build-commands="$listing" "$@" "$directory/$source"/*.dsc || code=$?
    [ "$code" != 0 ] || erase "$session"
    exit "$code"
}

# Let the subordinate users of the build into DIRECTORY, and no other users of this machine: these could run programs with
# the set-user-ID bit that a build has made.
lend() { # DIRECTORY
    if perl -e "$to_group" "$1" 2>/dev/null; then
        chmod 0710 "$1"
    else
        echo "warning: other users of this machine can reach the root of this build"
        chmod 0711 "$1"
    fi
}

# Give a directory to the group that root has in sbuild's roots, found as sbuild finds it.  This user may do so only in a
# user namespace.
to_group='use Sbuild::Utility qw(read_subuid_subgid get_unshare_cmd);
    my @map = read_subuid_subgid;
    exit 1 if @map != 2;
    exec get_unshare_cmd({IDMAP => [["u", 0, $<, 1], ["g", 0, $(+0, 1],
        ["u", 1, $map[0][2], 1], ["g", 1, $map[1][2], 1]]}), "chgrp", "1", $ARGV[0];
    exit 1'

# Print names of packages with their versions as preferences of apt (apt_preferences(5)).
pins() {
    awk 'NF == 2 && $1 ~ /^[a-z0-9][a-z0-9+.:-]*$/ && $2 ~ /^[0-9A-Za-z.+:~-]+$/ {
        sub(/:.*/, "", $1); print "Package: " $1 "\nPin: version " $2 "\nPin-Priority: 1001\n"
    }'
}

listing="dpkg-query --show --showformat '@installed \${binary:Package} \${Version}\\n'; echo @installed."

# Run sbuild and show what it prints; write installed.txt; the last line says why it failed.
reporting=$(cat <<'REPORTING'
    $| = 1;
    my ($text, $list, $listed, $unmet, %said, @missing, $wrong) = ("", "", 0, 0);
    sub line {
        if (!$listed && $text =~ /^\@installed (?!sbuild-build-depends-)([!-~]+ [!-~]+)\s*$/) {
            $list .= "$1\n" if length $list < 4_000_000;
        }
        elsif ($text =~ /^\@installed\.\s*$/) { $listed = 1 }
        elsif ($text =~ /^(Status|Fail-Stage): (\S{1,40})\s*$/) { $said{$1} = $2 }
        elsif ($text =~ /^The following packages have unmet dependencies:/) { $unmet = 1; @missing = () }
        elsif ($unmet && $text =~ /^ (?:\S+ : | {8,})(?:(?:Pre-)?Depends: )?(\S.{0,200}?)\s*$/) {
            push @missing, $1 if @missing < 10;
        }
        elsif (!defined $said{"Status"} && $text =~ /(?:\berror: |^E: )(.{1,200}?)\s*$/) { $wrong = $1; $unmet = 0 }
        $text = "";
    }
    open STDERR, ">&STDOUT";
    my $running = open my $log, "-|", @ARGV;
    while ($running && sysread $log, my $piece, 65536) {
        print $piece;
        for my $part (split /(\n)/, $piece) {
            if ($part eq "\n") { line() } elsif (length $text < 2000) { $text .= substr $part, 0, 2000 }
        }
    }
    close $log if $running;
    my $code = $running ? $? : 256;
    if ($list ne "") { open my $file, ">", "installed.txt"; print $file $list; close $file }
    exit 0 if $code == 0;
    my $stage = defined $said{"Fail-Stage"} ? "stage $said{'Fail-Stage'}" : "beginning";
    if (@missing && $stage =~ /install-deps/) {
        print "error: sbuild could not install what the package needs ($stage): ", join("; ", @missing), "\n";
    } else {
        print "error: sbuild failed in the $stage", defined $wrong ? ": $wrong" : "", "\n";
    }
    exit 1;
REPORTING
)

verb=$1
shift
"$verb" "$@"
