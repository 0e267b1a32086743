#!/usr/bin/env bash
# Make the image debian:SUITE-slim on a machine that reaches a Debian archive but no registry of images.
#
#     tests/docker/base-image.sh trixie DIRECTORY
#
# The archive is the one this machine's apt uses. What debootstrap gives is kept in DIRECTORY as a tar file and is not
# made again while that is there. An image made here is for tests: only pulled ones are for use.
set -euo pipefail
suite=$1
kept=$2
tarball=$kept/debian-$suite-slim.tar
image=debian:$suite-slim

# The first archive that apt has for this machine's own release.
archive() {
    # shellcheck disable=SC2016,SC1091
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $(. /etc/os-release && echo "$VERSION_CODENAME")" |
        head -n 1
}

# Files that a container has no use for.
slim() {
    rm -rf "$1"/usr/share/{doc,man,info,locale,lintian}/* "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*
    cat >"$1/etc/dpkg/dpkg.cfg.d/slim" <<'CFG'
path-exclude /usr/share/doc/*
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
CFG
}

# How this machine's apt reaches and believes its archive holds in the image too. And no service starts in a build.
settle() {
    apt-config dump | grep -E '^Acquire::(Check-|http::|https::|Retries)' >"$1/etc/apt/apt.conf.d/99archive" || true
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
    chmod 755 "$1/usr/sbin/policy-rc.d"
    : >"$1/etc/resolv.conf"
}

make_tarball() {
    local root
    root=$(mktemp -d "$kept/rootfs.XXXXXX")
    # shellcheck disable=SC2064
    trap "rm -rf '$root'" EXIT
    debootstrap --variant=minbase "$suite" "$root" "$(archive)" >"$kept/debootstrap-$suite.log" 2>&1 || {
        tail -n 5 "$kept/debootstrap-$suite.log" >&2
        exit 1
    }
    slim "$root"
    settle "$root"
    tar -C "$root" --numeric-owner -cf "$tarball.part" .
    mv "$tarball.part" "$tarball"
}

mkdir -p "$kept"
[ -s "$tarball" ] || make_tarball
docker import --change 'CMD ["bash"]' "$tarball" "$image" >/dev/null
