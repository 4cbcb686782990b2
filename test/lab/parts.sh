#!/bin/sh
# Builds the lab's parts into a cache folder: Debian's stock kernels, the first file system that each boots
# from, the tiny guest, and the meter. Each part is built beside its place and moved there whole, so that an
# interrupted download leaves nothing behind that looks finished.
#
#   sh test/lab/parts.sh [long]    long: also programs that make a host's network, a Prometheus, and the root of a clean Debian host
#
# The folder is .cache/lab in the repository, or $UPLINKD_LAB_CACHE. Delete it to fetch the newest kernels.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${UPLINKD_LAB_CACHE:-$here/../../.cache/lab}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

# One builder at a time: a second one waits and then finds the parts done.
exec 8>"$cache/lock"
flock 8
work=$cache/building
rm -rf "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

say() { echo "lab parts: $*" >&2; }
die() {
  say "$*"
  exit 75
}

# Debian's name for the newest kernel of a series, so that no version in this file can go stale.
kernel_package() {
  case $1 in
    6.1) apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-6\.1\..*\)/\1/p' ;;
    *) apt-cache search --names-only "^linux-image-$(echo "$1" | sed 's/\./\\./')\\..*[0-9]-amd64\$" |
      cut -d ' ' -f 1 | sort -V ;;
  esac | tail -n 1
}

# unpack PACKAGE: its files, below $work/root
unpack() {
  (
    cd "$work"
    apt-get -q download "$1" >log 2>&1 || { cat log >&2; exit 1; }
    dpkg-deb -x "$1"_*.deb root
    rm "$1"_*.deb
  )
}

# extract_vmlinux BZIMAGE: the ELF inside, which QEMU starts by its PVH entry. That spares the guest its own
# decompression, 3 of 5 seconds under TCG. Offsets: Documentation/arch/x86/boot.rst, protocol 2.08.
extract_vmlinux() {
  number() { od -An "-tu$3" "-j$2" "-N$3" "$1" | tr -d ' '; }
  start=$((($(number "$1" 497 1) + 1) * 512 + $(number "$1" 584 4)))
  # The last four bytes of the payload are its unpacked size, no part of the stream.
  length=$(($(number "$1" 588 4) - 4))
  tail -c "+$((start + 1))" "$1" | head -c "$length" >"$work/payload"
  case $(od -An -tx1 -N2 "$work/payload" | tr -d ' ') in
    fd37) xz -dc --single-stream "$work/payload" ;;
    28b5) zstd -dc "$work/payload" ;;
    *) die "$1 is packed in a way that this script doesn't know" ;;
  esac
  rm "$work/payload"
}

# modules ROOT VERSION MODULE...: copies them and what they need, unpacked, with a load order, into $work/fs
modules() {
  root=$1 version=$2
  shift 2
  for module; do
    modprobe -d "$root" -S "$version" --show-depends "$module" || die "kernel $version has no module $module"
  done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' >"$work/modules"
  mkdir -p "$work/fs/modules"
  while read -r file; do
    name=$(basename "${file%.xz}")
    case $file in
      *.xz) xz -dc "$file" >"$work/fs/modules/$name" ;;
      *) cp "$file" "$work/fs/modules/$name" ;;
    esac
    echo "$name"
  done <"$work/modules" >"$work/fs/modules/order"
}

# pack_initramfs INIT: $work/fs with busybox and INIT, as $work/initramfs
pack_initramfs() {
  mkdir -p "$work/fs/bin" "$work/fs/dev" "$work/fs/proc" "$work/fs/sys"
  cp /bin/busybox "$work/fs/bin/busybox"
  cp "$1" "$work/fs/init"
  chmod +x "$work/fs/init"
  (cd "$work/fs" && find . | cpio -o -H newc --quiet) >"$work/initramfs"
  rm -rf "$work/fs"
}

build_kernel() {
  package=$(kernel_package "$1")
  [ -n "$package" ] || { apt-get -q update >&2 && package=$(kernel_package "$1"); }
  [ -n "$package" ] || die "no Debian package for kernel $1 found"
  say "kernel $1 ($package)"
  unpack "$package"
  version=${package#linux-image-}
  mkdir "$work/part"
  extract_vmlinux "$work/root/boot/vmlinuz-$version" >"$work/part/vmlinux"
  depmod -b "$work/root" "$version"
  mv "$work/root/lib/modules" "$work/part/modules"
  echo "$version" >"$work/part/version"
  rm -rf "$work/root"
}

# What every lab uses is loaded from here, much faster than by modprobe over 9p; the rest loads on demand.
lab_modules="virtio_pci 9pnet_virtio 9p overlay virtio_net virtio_console bonding bridge veth tun
  sch_htb sch_fq_codel sch_ingress cls_flower cls_matchall act_skbedit act_gact act_mirred"

build_initramfs() {
  version=$(cat "$cache/kernel-$1/version")
  say "initramfs for $version"
  mkdir -p "$work/root/lib"
  ln -s "$cache/kernel-$1/modules" "$work/root/lib/modules"
  # shellcheck disable=SC2086
  modules "$work/root" "$version" $lab_modules
  pack_initramfs "$here/guest/initramfs-init"
  rm -rf "$work/root"
  mkdir "$work/part"
  mv "$work/initramfs" "$work/part/initramfs"
}

# The tiny guest is iPXE: it answers ARP and ping with frames of its own a few seconds after its start, where a
# Linux kernel takes a minute under nested TCG.
build_tiny() {
  say "tiny guest"
  unpack ipxe
  mkdir "$work/part"
  cp "$work/root/boot/ipxe.lkrn" "$work/part/"
  rm -rf "$work/root"
}

# What makes a host's network on many of them; systemd-networkd is there with systemd. Unpacked only: installed on the machine
# itself, they would have a say in its network.
build_network_programs() {
  say "network programs"
  for package in ifupdown ifenslave bridge-utils network-manager libnm0 libndp0; do unpack "$package"; done
  mkdir "$work/part"
  mv "$work/root" "$work/part/root"
}

build_meter() {
  say "meter"
  mkdir "$work/part"
  tcc -Wall -o "$work/part/meter" "$here/meter.c" || die "meter.c did not compile"
}

# What an operator's host has before uplinkd: Debian 12 as its installer leaves it, the oldest that is promised, and
# libvirt; put there by its own apt. libvirt-clients is recommended by both of libvirt's, sudo is the installer's.
clean_packages="libvirt-daemon-system libvirt-dbus libvirt-clients qemu-system-x86 sudo"
# What apt would fetch for uplinkd besides. There is no network in a lab, so that apt finds it fetched.
fetched_packages="libatomic1"

build_clean() {
  say "a clean Debian 12 with libvirt, some minutes"
  mkdir "$work/part"
  include=$(echo "$clean_packages" | tr ' ' ',')
  # A host has its identity and its name, and apt its lists, from its installation.
  # shellcheck disable=SC2016 # $1 is the hooks'
  mmdebstrap --quiet --variant=important --include="$include" --dpkgopt=force-unsafe-io --skip=cleanup/apt \
    --customize-hook='tr -d - </proc/sys/kernel/random/uuid >"$1/etc/machine-id"' \
    --customize-hook='echo lab >"$1/etc/hostname"; echo "127.0.1.1 lab" >>"$1/etc/hosts"' \
    --customize-hook='rm -f "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap; chroot "$1" apt-get clean' \
    --customize-hook="chroot \"\$1\" apt-get -q install -y --download-only $fetched_packages" \
    bookworm "$work/part/root" >"$work/log" 2>&1 || { cat "$work/log" >&2; die "no clean Debian could be made"; }
  # The tests' own Node needs it, too, where the host has not got it yet.
  mkdir "$work/root" "$work/part/lib"
  dpkg-deb -x "$work"/part/root/var/cache/apt/archives/libatomic1_*.deb "$work/root"
  cp "$work"/root/usr/lib/*/libatomic.so.1 "$work/part/lib/"
  rm -rf "$work/root" "$work/log"
}

# Unpacked, not installed: its package would start a Prometheus on this machine.
build_prometheus() {
  say "Prometheus"
  unpack prometheus
  mkdir "$work/part"
  mv "$work/root/usr/bin/prometheus" "$work/root/usr/bin/promtool" "$work/part/"
  rm -rf "$work/root"
}

# part NAME RECIPE COMMAND...: builds a part unless it is there, made by the same recipe
part() {
  name=$1 recipe=$2
  shift 2
  [ "$(cat "$cache/$name/recipe" 2>/dev/null || true)" = "$recipe" ] && return
  mkdir -p "$work"
  rm -rf "$work/part" "$work/root" "$work/fs"
  # In a shell of its own, so that its variables don't meet ours.
  ("$@")
  echo "$recipe" >"$work/part/recipe"
  rm -rf "${cache:?}/$name"
  mv "$work/part" "$cache/$name"
}

# A recipe's stamp: the files and words that the part is made of.
stamp() { { cat "$@"; cat "$0"; } | sha256sum | cut -c 1-16; }

# The kernels are large and don't depend on the rest of this file: raise the number to have them rebuilt.
part kernel-6.1 1 build_kernel 6.1
part kernel-6.12 1 build_kernel 6.12
for series in 6.1 6.12; do
  part "initramfs-$series" "$(stamp "$here/guest/initramfs-init" "$cache/kernel-$series/version")" \
    build_initramfs "$series"
done
part tiny 2 build_tiny
part meter "$(stamp "$here/meter.c")" build_meter
[ "${1:-}" = long ] || exit 0
part network-programs 1 build_network_programs
part prometheus 1 build_prometheus
part clean 1 build_clean
