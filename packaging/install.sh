#!/bin/sh
# Installs uplinkd from a clone onto this host, below PREFIX (default /usr) and /etc. Asks nothing, starts nothing, and overwrites no
# configuration that is there. `sh packaging/install.sh --remove` takes it away again (release first: uplinkctl release).
set -eu
cd "$(dirname "$0")/.."
root=${DESTDIR:-}
lib=$root/usr/lib/uplinkd

if [ "${1-}" = --remove ]; then
  rm -rf "$lib"
  rm -f "$root/usr/bin/uplinkctl" "$root/etc/libvirt/hooks/qemu.d/50-uplinkd" \
    "$root"/usr/lib/systemd/system/uplinkd*.service "$root"/usr/lib/systemd/system/uplinkd*.socket \
    "$root/usr/lib/sysusers.d/uplinkd.conf" "$root/usr/lib/tmpfiles.d/uplinkd.conf" \
    "$root/usr/share/dbus-1/system.d/uplinkd.conf"
  echo "removed; /etc/uplinkd and /var/lib/uplinkd are kept"
  exit 0
fi

sh test/setup.sh
node_modules/.bin/node packaging/build.ts
install -d "$lib/dist" "$lib/node_modules" "$root/usr/bin" "$root/etc/uplinkd/policies" "$root/etc/libvirt/hooks/qemu.d" \
  "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d" "$root/usr/share/dbus-1/system.d"
install -m 755 node_modules/node-linux-*/bin/node "$lib/node"
install -m 644 dist/*.mjs "$lib/dist/"
cp -R node_modules/koffi "$lib/node_modules/"
[ ! -d node_modules/@koromix ] || cp -R node_modules/@koromix "$lib/node_modules/"
printf '#!/bin/sh\nexec /usr/lib/uplinkd/node /usr/lib/uplinkd/dist/uplinkctl.mjs "$@"\n' >"$root/usr/bin/uplinkctl"
chmod 755 "$root/usr/bin/uplinkctl"
install -m 755 hooks/qemu "$root/etc/libvirt/hooks/qemu.d/50-uplinkd"
install -m 644 systemd/*.service systemd/*.socket "$root/usr/lib/systemd/system/"
install -m 644 systemd/sysusers.d/uplinkd.conf "$root/usr/lib/sysusers.d/uplinkd.conf"
install -m 644 systemd/tmpfiles.d/uplinkd.conf "$root/usr/lib/tmpfiles.d/uplinkd.conf"
install -m 644 systemd/dbus-1/uplinkd.conf "$root/usr/share/dbus-1/system.d/uplinkd.conf"
for file in policies/*.yaml; do
  [ -e "$root/etc/uplinkd/$file" ] || install -m 644 "$file" "$root/etc/uplinkd/$file"
done
[ -e "$root/etc/uplinkd/uplinkd.yaml" ] || install -m 644 policies/uplinkd.yaml.example "$root/etc/uplinkd/uplinkd.yaml"
if [ -z "$root" ]; then
  systemd-sysusers uplinkd.conf
  systemd-tmpfiles --create uplinkd.conf
  systemctl daemon-reload
  systemctl reload dbus 2>/dev/null || :
fi
echo "installed. Next: edit /etc/uplinkd/uplinkd.yaml, then"
echo "  systemctl enable --now uplinkd-hook.socket uplinkd-control.socket uplinkd-read.socket uplinkd.service"
echo "  systemctl restart libvirtd     (once: libvirt looks for hooks when it starts; running VMs go on)"
