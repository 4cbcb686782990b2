#!/bin/sh
# Brings a fresh clone to the point where its commands work; does nothing when there is nothing to do.
#
#   sh test/setup.sh        npm packages, the pinned Node among them
#   sh test/setup.sh lab    also the Debian packages that the lab runs on, and the lab's own parts
#   sh test/setup.sh long   also what the long tests want: a Prometheus, the root of a clean Debian host
#   sh test/setup.sh cc     also a C compiler, for what measures without a runtime of its own
#   sh test/setup.sh bench  also what uplinkd is measured beside
#
# Safe to run at any time, asks nothing, speaks only when it changes something.
set -eu
cd "$(dirname "$0")/.."

# Each line is one reason for its packages to be here.
lab_packages="
  qemu-system-x86 qemu-utils
  busybox-static cpio kmod xz-utils zstd
  iproute2 ethtool iputils-ping netcat-openbsd procps tcpdump
  dbus libvirt-daemon-system libvirt-clients libvirt-dbus
"
cc_packages="
  tcc libc6-dev
"
long_packages="
  mmdebstrap debian-archive-keyring
"
bench_packages="
  openvswitch-switch
"

install_npm_packages() {
  stamp=node_modules/.uplinkd-lock
  want=$(sha256sum package-lock.json)
  [ "$(cat "$stamp" 2>/dev/null || true)" = "$want" ] && return
  echo "setup: npm packages" >&2
  npm ci --no-fund --no-audit --loglevel=error >&2
  printf '%s\n' "$want" >"$stamp"
}

install_debian_packages() {
  packages=$*
  command -v dpkg-query >/dev/null || {
    echo "setup: the lab needs Debian or a relative of it (dpkg, apt-get)" >&2
    exit 1
  }
  # shellcheck disable=SC2086 # the list is meant to be split
  present=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $packages 2>/dev/null || true)
  missing=
  for package in $packages; do
    case "
$present
" in
      *"
$package installed
"*) ;;
      *) missing="$missing $package" ;;
    esac
  done
  [ -n "$missing" ] || return 0
  echo "setup: Debian packages:$missing" >&2
  [ "$(id -u)" = 0 ] || {
    echo "setup: run as root, or install them yourself: apt-get install$missing" >&2
    exit 1
  }
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  # shellcheck disable=SC2086
  if ! { apt-get -q update && apt-get -q install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
  fi
  rm -f "$log"
}

install_npm_packages
case "${1:-}" in
  "") ;;
  lab)
    # shellcheck disable=SC2086
    install_debian_packages $lab_packages $cc_packages
    sh test/lab/parts.sh
    ;;
  cc)
    # shellcheck disable=SC2086
    install_debian_packages $cc_packages
    ;;
  long)
    # shellcheck disable=SC2086
    install_debian_packages $lab_packages $cc_packages $long_packages
    sh test/lab/parts.sh long
    ;;
  bench)
    # shellcheck disable=SC2086
    install_debian_packages $lab_packages $cc_packages $bench_packages
    sh test/lab/parts.sh
    ;;
  *)
    echo "usage: sh test/setup.sh [lab|long|cc|bench]" >&2
    exit 2
    ;;
esac
