# Prepare a checkout for a source package: sh -c "$(cat git_source.sh)" git-source FAMILY COMMIT, in the checkout.
#
# It writes two things beside the checkout: the file "epoch" with the time of COMMIT in seconds since 1970, and the
# directory "orig".  If FAMILY is "deb" and the package needs a tar archive of the upstream sources, the archive is in
# "orig": the one in the checkout, or else one made from the tag upstream/VERSION (DEP-14).
#
# It runs no program of the repository, and follows no link in the checkout.
family=$1 commit=$2
# Patterns match bytes: a line may have bytes that are no characters of the locale.
LC_ALL=C
export LC_ALL

fail() {
    echo "fatal: $1" >&2
    exit 1
}

is_file() { [ -f "$1" ] && [ ! -L "$1" ]; }

# Read the name and the upstream version from the first line of the changelog: "name (epoch:upstream-revision) …".
read_changelog() {
    [ ! -L debian ] && is_file debian/changelog || fail "the repository has no debian/changelog"
    # -a: even if it has bytes that are no text.
    first=$(grep -a -m 1 . debian/changelog) || fail "debian/changelog is empty"
    name=$(printf '%s\n' "$first" | sed -n 's/^\([a-z0-9][a-z0-9+.-]*\) (\([A-Za-z0-9.+~:-]*\)) .*/\1/p')
    version=$(printf '%s\n' "$first" | sed -n 's/^\([a-z0-9][a-z0-9+.-]*\) (\([A-Za-z0-9.+~:-]*\)) .*/\2/p')
    [ -n "$name" ] && [ -n "$version" ] || fail "the first line of debian/changelog names no package and version"
    upstream=${version#*:}
}

# SUFFIXES: of archives that the format of the source package takes.
upstream_sources() { # SUFFIXES
    upstream=${upstream%-*}
    for suffix in $1; do
        archive=${name}_$upstream.orig.tar.$suffix
        if is_file "$archive"; then
            mv "$archive" ../orig/
            return
        fi
    done
    tag=upstream/$(printf %s "$upstream" | tr '~:' '_%')
    pristine=$(git ls-tree --name-only refs/remotes/origin/pristine-tar 2>/dev/null |
        grep -F -m 1 "${name}_$upstream.orig.tar." || :)
    git rev-parse -q --verify "refs/tags/$tag^{commit}" >/dev/null ||
        if [ -n "$pristine" ]; then
            fail "${name}_$upstream.orig.tar.* is only in the branch pristine-tar, which is not used here: commit it, \
or push the tag $tag, to make it from"
        else
            fail "${name}_$upstream.orig.tar.* is not in the repository, and neither is the tag $tag, to make it from"
        fi
    echo "making ${name}_$upstream.orig.tar.gz from the tag $tag"
    [ -z "$pristine" ] || echo "the branch pristine-tar is not used, so this archive may have other bytes than $pristine"
    git archive --format=tar --prefix="$name-$upstream/" -o ../orig/orig.tar "refs/tags/$tag"
    # Without the name and time of the file, so that a tag always makes the same archive.
    gzip -9 -n <../orig/orig.tar >"../orig/${name}_$upstream.orig.tar.gz"
    rm ../orig/orig.tar
}

set -e
# On servers on which forks share their objects, anybody could have put the commit there.
[ -n "$(git for-each-ref --count=1 --contains="$commit" refs/tags refs/remotes/origin)" ] ||
    fail "no branch and no tag of the repository leads to the commit $commit"
rm -rf ../orig
mkdir ../orig
epoch=$(git cat-file commit "$commit" | sed -n -e 's/^committer .* \([0-9]\{1,11\}\) [-+][0-9]*$/\1/p' -e '/^$/q' | head -n 1)
[ -n "$epoch" ] || fail "the commit has no time"
printf '%s\n' "$epoch" >../epoch
if [ "$family" = deb ]; then
    [ ! -L debian ] && [ -d debian ] || fail "the repository has no directory debian"
    [ ! -L debian/source ] && [ ! -L debian/source/format ] || fail "debian/source/format must be no link"
    format="1.0"
    [ ! -e debian/source/format ] || format=$(head -n 1 debian/source/format | tr -d '\0')
    case $format in
        "3.0 (native)") ;;
        "3.0 (quilt)")
            read_changelog
            case $upstream in
                *-*) upstream_sources "gz xz bz2" ;;
                *) fail "$name $version is 3.0 (quilt), but its version has no revision of Debian, as in 1.0-1" ;;
            esac
            ;;
        "1.0")
            read_changelog
            case $upstream in *-*) upstream_sources gz ;; esac
            ;;
        *) fail "debian/source/format must be 1.0, 3.0 (native) or 3.0 (quilt) in sources from git" ;;
    esac
fi
find . -name .git -prune -exec rm -rf {} +
