# Get the sources that a `Git` step asks for:
#
#     git_get.sh MODE LINKS URL BRANCH REVISION OPTION…
#
# MODE: "keep" what is not in the repository; "clean": remove it, except what is ignored;
# "fresh": remove it all.  LINKS: "get" submodules, or "leave" them.  BRANCH and REVISION may be empty.  OPTION: for
# git fetch.  Exit codes: 0, it is all there; 3, the repository has no such revision; else git failed.
#
# The directory that this runs in, with the .git in it, was within reach of earlier builds, and a git in it may have been
# killed at any moment.  Whatever is there, git must do nothing with our credentials but what it is told here, and what
# is checked out in the end must be what the commit says.  So an old .git is never used as it is: see `renew`.

mode=$1 links=$2 url=$3 branch=$4 revision=$5
shift 5
options=$*
unset CDPATH
cd -P . && root=$PWD
tab='	'

NO_SUCH_REVISION=3
DAMAGED=4
CROWDED="there is much to pack in"

# What is fetched stands under one name, whatever it was called: a branch "a" may become "a/b" by the next build.
FETCHED=refs/fetched/it
# What was checked out last, for the case that there is no index of it.
CHECKED_OUT=refs/fetched/checked-out

# The last of these lines says what was being done; the master reads them.
say() { printf '==> %s\n' "$*"; }

remove() {
    rm -rf -- "$@" 2> /dev/null || { make_writable "$@"; rm -rf -- "$@"; }
}

make_writable() {  # Tools such as Go's leave directories without write permission in their caches.
    find "$@" -type d ! -perm -700 -exec chmod u+rwx {} \; 2> /dev/null
}

is_directory() { [ -d "$1" ] && [ ! -L "$1" ]; }
is_file() { [ -f "$1" ] && [ ! -L "$1" ]; }

# Keep of an old repository what cannot mislead: objects, which are known by their contents; what was fetched; and the
# index as the last checkout left it.  Everything else is removed and made anew: configuration, hooks, HEAD, alternates,
# grafts, replacements, local branches and tags, locks of a git that was killed.  Sets *old* if there was something.
renew() {
    say "prepare a repository"
    command -v git > /dev/null || { echo "fatal: there is no program git on PATH"; return 127; }
    is_directory "$GIT_DIR" || { remove "$GIT_DIR" && mkdir -p "$GIT_DIR"; } || return
    [ -w "$GIT_DIR" ] && [ -x "$GIT_DIR" ] && [ -r "$GIT_DIR" ] && { [ ! -d "$GIT_DIR/objects" ] ||
        { [ -w "$GIT_DIR/objects" ] && [ -w "$GIT_DIR/objects/pack" ]; }; } || make_writable "$GIT_DIR"
    old=
    # Whoever follows it would remove what it leads to.
    [ ! -L "$GIT_DIR/objects" ] || rm -f "$GIT_DIR/objects" || return
    set -- "$GIT_DIR~new"
    for each in "$GIT_DIR"/objects/*; do
        case ${each##*/} in pack | ??) is_directory "$each" && old=yes && continue ;; esac
        set -- "$@" "$each"
    done
    for each in "$GIT_DIR"/* "$GIT_DIR"/.[!.]*; do
        case ${each##*/} in
            objects | modules) is_directory "$each" && continue ;;
            lfs) [ "$mode" != keep ] && is_directory "$each" && continue ;;
            refs) [ -n "$old" ] && is_directory "$each" && continue ;;
            packed-refs | shallow | checked-out) [ -n "$old" ] && is_file "$each" && continue ;;
        esac
        set -- "$@" "$each"
    done
    for each in "$GIT_DIR"/refs/*; do
        case ${each##*/} in fetched | remotes) is_directory "$each" && continue ;; esac
        set -- "$@" "$each"
    done
    for each in "$GIT_DIR"/refs/fetched/*; do
        case ${each##*/} in it | checked-out) is_file "$each" && read -r hash < "$each" && is_hash "$hash" && continue ;; esac
        set -- "$@" "$each"
    done
    remove "$@" "$GIT_DIR"/objects/*/tmp_* "$GIT_DIR"/objects/pack/.tmp-* || return
    [ ! -d "$GIT_DIR/lfs" ] || check_lfs || return
    if [ -d "$GIT_DIR/refs/remotes" ]; then
        find "$GIT_DIR/refs/remotes" \( -type l -o -name '*.lock' -o -type f ! -size 41c ! -size 65c \) \
            -exec rm -rf {} + 2> /dev/null
        # A ref that names another one is nobody's that was fetched.
        grep -rl '^ref:' "$GIT_DIR/refs/remotes" 2> /dev/null | while IFS= read -r each; do rm -f -- "$each"; done
    fi
    [ -e "$GIT_DIR/$CHECKED_OUT" ] || cp "$GIT_DIR/$FETCHED" "$GIT_DIR/$CHECKED_OUT" 2> /dev/null
    if [ -f "$GIT_DIR/packed-refs" ]; then
        grep -E '^[0-9a-f]+ refs/(fetched|remotes/origin)/' "$GIT_DIR/packed-refs" > "$GIT_DIR/packed-refs.new"
        mv -f "$GIT_DIR/packed-refs.new" "$GIT_DIR/packed-refs"
    fi
    create
}

# LFS believes an object that has the right size.  Keep of its cache what is what it is called.  (With "keep", nothing:
# all of it would have to be read, where LFS needs only what is new.)
check_lfs() {
    set --
    for each in "$GIT_DIR"/lfs/* "$GIT_DIR"/lfs/.[!.]*; do
        [ "${each##*/}" = objects ] && is_directory "$each" || set -- "$@" "$each"
    done
    remove "$@" && [ -d "$GIT_DIR/lfs/objects" ] || return
    if command -v sha256sum > /dev/null; then set -- sha256sum
    elif command -v shasum > /dev/null; then set -- shasum -a 256
    else remove "$GIT_DIR/lfs"; return
    fi
    chmod -R u+rwX "$GIT_DIR/lfs" && find "$GIT_DIR/lfs" ! -type d ! -type f -exec rm -f {} + &&
        find "$GIT_DIR/lfs/objects" -type f -exec "$@" {} + | while read -r hash each; do
            [ "$hash" = "${each##*/}" ] || rm -f -- "$each" || return
        done
}

create() {
    git init -q --template= > /dev/null &&
        { [ "${GIT_DIR##*/}" = .git ] || git config core.bare false; } &&
        { [ -z "$worktree" ] || git config core.worktree "$worktree"; } &&
        printf '[remote "origin"]\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n' >> "$GIT_DIR/config" &&
        case $url in
            *[!A-Za-z0-9/:@._~+%=,-]*) git config remote.origin.url "$url" ;;
            *) printf '\turl = %s\n' "$url" >> "$GIT_DIR/config" ;;
        esac
}

# Fetch what is wanted, and set *commit* to it, and *branch* to "" if it is not the name of a branch.
find_commit() {
    case $revision in
        '') find_branch && resolve "$FETCHED" ;;
        refs/*) say "fetch $revision from $shown" && fetch "+$revision:$FETCHED" && resolve "$FETCHED" ;;
        *) find_revision ;;
    esac
}

find_branch() {
    say "fetch ${branch:-HEAD} from $shown"
    case $branch in
        '' | HEAD) fetch "+HEAD:$FETCHED" && branch= ;;
        refs/*) fetch "+$branch:$FETCHED" && branch= ;;
        *)
            fetch "+refs/heads/$branch:$FETCHED" && return
            missing && fetch "+$branch:$FETCHED" && branch=
            ;;
    esac
}

find_revision() {
    if is_hash "$revision"; then
        # Tags are fetched anew each time.
        case " $options " in *' --tags '*) ;; *) is_cut || { resolve "$revision" && return; } ;; esac
        # Most servers give away a single commit; from others everything is fetched.
        say "fetch $revision from $shown"
        fetch "+$revision:$FETCHED" && resolve "$revision" && return
    fi
    say "fetch everything from $shown"
    set -- '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*'
    case $branch in refs/*) set -- "$@" "+$branch:$FETCHED" ;; esac
    fetch --prune "$@" || return
    resolve "refs/tags/$revision" || resolve "refs/remotes/origin/$revision" && return
    case $revision in *[!0-9a-f]* | ? | ?? | ??? | ???? | ????? | ??????) ;; *) resolve "$revision" && return ;; esac
    return $NO_SUCH_REVISION
}

is_hash() {
    case $1 in *[!0-9a-f]*) return 1 ;; esac
    [ ${#1} = 40 ] || [ ${#1} = 64 ]
}

resolve() {
    commit=$(git rev-parse -q --verify "$1^{commit}" 2> /dev/null)
}

fetch() {
    if is_cut; then whole=--unshallow; else whole=; fi
    heard git fetch --no-auto-gc --force --no-recurse-submodules --refmap= $options $whole origin "$@"
}

# Whether an earlier step fetched less of the history than this one is to.
is_cut() {
    case " $options " in *' --depth='*) return 1 ;; esac
    [ -s "$GIT_DIR/shallow" ]
}

# Run that, and keep what is said as well.  It worked if that could be noted: not if there was no room, or no process.
heard() {
    rm -f "$GIT_DIR/worked"
    { "$@" 2>&1 && echo yes > "$GIT_DIR/worked"; } | tee "$GIT_DIR/said"
    [ -s "$GIT_DIR/worked" ]
}

missing() { grep -qi "couldn't find remote ref" "$GIT_DIR/said"; }

unreachable() {
    grep -Eqi "could not read (from remote|username|password)|unable to access|authentication failed|repository '.*' not found|transport '.*' not allowed|does not appear to be a git repository|unable to find remote helper" "$GIT_DIR/said"
}

# Fetch into the repository that is there.  If that fails, and not for the other side's sake, the repository is damaged.
get() {
    renew || return
    find_commit && return
    result=$?
    if [ -z "$old" ] || [ $result = $NO_SUCH_REVISION ] || missing || unreachable; then return $result; fi
    begin_anew
}

# Fetch into a new repository.  It takes the place of the old one only when that works.
begin_anew() {
    say "try once more with a new repository"
    here=$GIT_DIR before=$(git rev-parse -q --verify "$CHECKED_OUT^{commit}" 2> /dev/null)
    GIT_DIR=$here~new
    remove "$GIT_DIR"
    if create && find_commit; then result=0; else result=$?; fi
    [ -z "$before" ] || git update-ref $CHECKED_OUT "$before" 2> /dev/null
    GIT_DIR=$here
    [ $result = 0 ] || { remove "$here~new"; return $result; }
    for each in checked-out lfs modules; do
        [ ! -e "$here/$each" ] || mv "$here/$each" "$here~new/$each" || return
    done
    remove "$here" && mv "$here~new" "$here"
}

# Make the files those of *commit*.  The index is our own, not the one that builds' commands change: a file that was
# touched since the last checkout is compared and, if need be, written again.
check_out() {
    say "check out $commit"
    [ -f "$GIT_INDEX_FILE" ] || read_files
    part_from_submodules
    write_files || { make_writable .; read_files; clean; write_files; } || return $(blame)
    printf 'update %s %s\n' $CHECKED_OUT "$commit" ${branch:+"refs/heads/$branch" "$commit"} | git update-ref --stdin &&
        { [ -z "$branch" ] || git symbolic-ref HEAD "refs/heads/$branch"; } && clean && { [ -z "$old$used" ] || verify; } &&
        share_index
}

# Make an index of the files that are there, as far as they are those that were checked out last.
read_files() {
    rm -f "$GIT_INDEX_FILE"
    git read-tree $CHECKED_OUT 2> /dev/null && git update-index -q --refresh > /dev/null 2>&1
}

# What git cannot remove, it only warns of.
write_files() {
    heard git checkout -q -f --detach "$commit" -- &&
        { [ ! -s "$GIT_DIR/said" ] || ! grep -q 'unable to unlink' "$GIT_DIR/said"; }
}

# Git reads what it finds in the directories of submodules, and gives up when that is damaged.
part_from_submodules() {
    [ -f .gitmodules ] || [ -d "$GIT_DIR/modules" ] || return 0
    { git ls-tree -r -z "$commit"; git ls-tree -r -z $CHECKED_OUT 2> /dev/null; } | tr '\n\0' '\1\n' |
        sed -n "s/^160000 [^$tab]*$tab//p" | while IFS= read -r each; do (enter "$each" && remove .git); done
    return 0
}

# Say which kind of failure it was, to check out.
blame() {
    git rev-list --objects --verify-objects --no-walk --quiet "$commit" > /dev/null 2>&1 && echo 1 || echo $DAMAGED
}

clean() {
    case $mode in
        keep) return 0 ;;
        clean) ignored= listed=--exclude-standard ;;
        fresh) ignored=-x listed= ;;
    esac
    git clean -q -f -f -d $ignored 2> /dev/null || { make_writable . && git clean -q -f -f -d $ignored 2> /dev/null; } ||
        # Git cannot remove what is deeper than a path may be long.
        git ls-files -z --others --directory $listed | xargs -0 rm -rf --
}

# See to it that what is there is what the commit says.  Where nothing of an earlier build is to be left, the index of the
# last checkout is not believed either: every file is read and hashed, and so is every directory's listing.  What differs
# is written again, from objects that are what they are called.
verify() {
    # A checkout that finds the commit without its tree (as git 2.39 does) succeeds, and leaves no file.
    if [ "$mode" = keep ]; then index_is_right; else read_all; fi || return $DAMAGED
    git diff-files --raw --no-abbrev --ignore-submodules=all > "$GIT_DIR/differing" || return
    [ -s "$GIT_DIR/differing" ] || return 0
    cut -d ' ' -f 3 "$GIT_DIR/differing" | git rev-list --objects --verify-objects --no-walk --quiet --stdin ||
        return $DAMAGED
    git checkout-index -q -f -u -a
}

# Make an index that knows nothing yet, and read the files.
read_all() {
    rm -f "$GIT_INDEX_FILE"
    git ls-tree -r -z --full-tree "$commit" | git update-index -z --index-info &&
        index_is_right && { git update-index -q --refresh > /dev/null || :; }
}

# Whether the index lists the files that the commit names, by their hashes.
index_is_right() { [ "$(git write-tree --missing-ok)" = "$(git rev-parse "$commit^{tree}")" ]; }

# Get what *url* and *revision* say into GIT_DIR, and check it out here.
take() {
    # Attributes that nobody committed may be among what is here, and git obeys them while it writes files.
    used=$(find . ! -name . -prune ! -name .git -print | head -n 1)
    get || return
    check_out
    result=$?
    if [ $result = $DAMAGED ] && begin_anew; then check_out; result=$?; fi
    [ $result = 0 ] || return $result
    if crowded; then say "$CROWDED ${GIT_DIR#"$root/"}"; fi
}

# Whether there is much to pack, by git's own rule.  It would do so in background, where what a command leaves is ended.
crowded() {
    git config --get-regexp '^gc\.auto(packlimit)?$' | {
        packs=50 objects=6700
        while read -r name value; do
            case $name in gc.auto) objects=$value ;; *) packs=$value ;; esac
        done
        set -- "$GIT_DIR"/objects/pack/*.pack
        [ $# -le "$packs" ] || exit 0
        set -- "$GIT_DIR"/objects/17/*
        [ $(($# * 256)) -gt "$objects" ]
    } 2> /dev/null
}

# The submodules of what is checked out in *place*, whose repository is *store*; both are seen from *root*.
get_submodules() (
    place=$1 store=$2
    [ -n "$(submodules)" ] || exit 0
    say "look at the submodules${place:+ of $place}"
    git submodule -q init || exit
    submodules | while IFS= read -r each; do
        get_submodule "${each%% *}" "${each#* }" < /dev/null || exit
    done
)

# "COMMIT PATH" of each, a line each.
submodules() {
    git ls-files -s -z | tr '\n\0' '\1\n' | sed -n "s/^160000 \([0-9a-f]*\) 0$tab/\1 /p"
}

get_submodule() (
    revision=$1 path=$2 branch= options=$options
    case $path in *"$(printf '\1')"*)
        echo "fatal: the path of a submodule has a line break in it, which this step cannot read"
        exit 1
        ;;
    esac
    name=$(git config -z -f .gitmodules --get-regexp '^submodule\..*\.path$' | tr '\n\0' '\t\n' |
        while IFS= read -r each; do
            [ "${each#*"$tab"}" != "$path" ] || { each=${each%%"$tab"*} && each=${each#submodule.} && echo "${each%.path}"; }
        done)
    # Not one of those that are active, or none that is wanted.
    url=$(git config "submodule.$name.url") && [ "$(git config "submodule.$name.update")" != none ] || {
        empty "$path"
        exit
    }
    if [ "$(git config -f .gitmodules --bool "submodule.$name.shallow")" = true ]; then options="$options --depth=1"; fi
    # Names of submodules may have slashes, and each part of one may be a link by now.
    (cd "$root/$store" && enter "modules/$name" make) || exit
    place=${place:+$place/}$path store=$store/modules/$name shown="the submodule $place"
    cd "$root" && enter "$place" make || exit
    work_on "$store" "$(up "$store")/$place"
    # As git does: what a commit names may not be a path here, unless the configuration says so.
    GIT_PROTOCOL_FROM_USER=0
    export GIT_PROTOCOL_FROM_USER
    remove .git
    printf 'gitdir: %s/%s\n' "$(up "$place")" "$store" > .git || exit
    take && get_submodules "$place" "$store"
)

# Use the repository $1, seen from *root*; the work tree is $2, seen from there, if it is not the usual one.
work_on() { GIT_DIR=$root/$1 GIT_INDEX_FILE=$root/$1/checked-out worktree=$2; }

# What builds' commands know as the index is another name of ours, until they write it.
share_index() {
    ln -f "$GIT_INDEX_FILE" "$GIT_DIR/index" 2> /dev/null || cp -p "$GIT_INDEX_FILE" "$GIT_DIR/index"
}

# Be in the directory $1 that is below this one, and in no other that a link leads to.  $2: make it if it is not there.
enter() {
    rest=$1/
    while [ -n "$rest" ]; do
        part=./${rest%%/*} rest=${rest#*/}
        is_directory "$part" || { [ -n "$2" ] && remove "$part" && mkdir "$part"; } || return
        cd "$part" || return
    done
}

# The way back from the relative path $1.
up() { printf '%s' "$1" | sed 's|[^/][^/]*|..|g'; }

# Leave nothing in the directory of a submodule that nobody wants.
empty() ( [ "$mode" = keep ] || { enter "$1" make && remove "$PWD" && mkdir "$PWD"; } )

export GIT_DIR GIT_INDEX_FILE
shown=$url
work_on .git ""
take || exit
say "commit $commit"
case $links in
    get) get_submodules "" .git ;;
    leave) [ "$mode" = keep ] || submodules | while IFS= read -r each; do empty "${each#* }" || exit; done ;;
esac
