"""
Shell scripts that run in a root of Debian, in the directory of a build: source package in ``in``, results in ``out``.
"""

_APT = "apt-get --quiet --yes -o APT::Sandbox::User=root"

DOWNLOAD = f"{_APT} --download-only build-dep ./in/*.dsc"
"""Fetches the packages that the source package needs, with the network."""

LIST = "dpkg-query --show --showformat '${binary:Package} ${Version}\\n' >out/installed.txt"
"""Lists all installed packages with their versions in ``out/installed.txt``."""

INSTALL = f"{_APT} --no-download build-dep ./in/*.dsc\n{LIST}"
"""Installs the fetched packages, without the network."""

TRY = f"{_APT} --simulate build-dep ./in/*.dsc"
"""Checks whether the packages that the source package needs can be installed, and installs none."""

# Names and versions have the forms of deb-control(5), so that none of them is an option; lines of RPM have three words.
_SAME = """\
same="--no-install-recommends --allow-downgrades"
changes=$(dpkg-query --show --showformat '${binary:Package} ${Version}\\n' | LC_ALL=C awk '
    NR == FNR { if (NF == 2 && $1 ~ /^[a-z0-9][a-z0-9+.:-]*$/ && $2 ~ /^[0-9A-Za-z.+:~-]+$/) wanted[$1] = $2; next }
    !($1 in wanted) { print $1 "-"; next }
    wanted[$1] == $2 { delete wanted[$1] }
    END { for (name in wanted) print name "=" wanted[name] }
' wanted.txt -)
gone() {
    cat said
    missing=$(sed -n -e "s/^E: Version '.*' for '\\(.*\\)' was not found/\\1/p" \\
        -e 's/^E: Unable to locate package //p' said |
        awk 'NR == FNR { lacking[$1]; next } { name = $1; sub(/:.*/, "", name) } name in lacking' - wanted.txt |
        head -n 10 | paste -s -d ';' | sed 's/;/; /g')
    [ -z "$missing" ] || echo "error: these packages of the first build cannot be had any more: $missing" >&2
    exit 100
}
"""
TRY_SAME = f"""\
{_SAME}: >said
[ -z "$changes" ] || {_APT} $same "$@" install $changes >said 2>&1 || gone
cat said
"""
"""Fetches or looks up exactly the packages in ``wanted.txt``; the arguments of the script, options of apt, decide
which."""

INSTALL_SAME = f"""\
{_SAME}[ -z "$changes" ] || {_APT} $same --no-download install $changes
{LIST}
sort wanted.txt >wanted.sorted
different=$(sort out/installed.txt | comm -3 wanted.sorted - | tr -d '\\t' | head -n 5 | paste -s -d ';')
if [ -n "$different" ]; then
    echo "error: the root is not that of the first build: $different" >&2
    exit 100
fi
"""
"""Installs the packages of ``wanted.txt`` without the network, so that the root has exactly the packages of the first
build."""

INSTALLING = frozenset({INSTALL, INSTALL_SAME})
"""The scripts that run programs of packages, so that not all that they print is apt's."""

# The version in the first line of debian/changelog is that of all packages made.
BUILD = """\
build=$1 suffix=$2 architecture=$3
found=$(dpkg --print-architecture)
if [ "$found" != "$architecture" ]; then
    echo "this system is of $found, so what it builds is not for $architecture" >&2
    exit 1
fi
cd out
dpkg-source -q --no-check --extract ../in/*.dsc src
cd src
[ -z "$suffix" ] || sed -i "1s/)/$suffix)/" debian/changelog
DEB_BUILD_OPTIONS="parallel=$(nproc)" dpkg-buildpackage --no-sign --build="$build"
cd ..
rm -rf src
"""
"""Builds the packages.  Arguments: *build* (as dpkg-buildpackage calls it), *suffix* of the version, and
*architecture*."""

SUFFIX = """\
suffix=$1
mkdir suffixed
cd suffixed
ln -s ../in/*.tar.* .
dpkg-source -q --no-check --extract ../in/*.dsc src
sed -i "1s/)/$suffix)/" src/debian/changelog
dpkg-source --build src
rm -rf src
"""
"""Makes the source package with *suffix* appended to its version, in ``suffixed``."""
