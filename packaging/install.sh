#!/bin/sh
# Installs uplinkd from a clone onto this host, below DESTDIR if that is set. Asks nothing, starts nothing, and overwrites no
# configuration that is there. `sh packaging/install.sh --remove` takes it away again (release first: uplinkctl release).
# What goes where is in packaging/layout.ts. On Debian and its relatives the package does all this and more: npm run package.
set -eu
cd "$(dirname "$0")/.."
root=${DESTDIR:-}

sh test/setup.sh
node_modules/.bin/node packaging/build.ts
if [ "${1-}" = --remove ]; then
  node_modules/.bin/node packaging/layout.ts remove "$root"
  echo "removed; /etc/uplinkd and /var/lib/uplinkd are kept"
  exit 0
fi
node_modules/.bin/node packaging/layout.ts install "$root"
if [ -z "$root" ]; then
  systemd-sysusers uplinkd.conf
  systemd-tmpfiles --create uplinkd.conf
  systemctl daemon-reload
  systemctl reload dbus 2>/dev/null || :
fi
echo "installed. Next: edit /etc/uplinkd/uplinkd.yaml, then"
echo "  systemctl enable --now uplinkd-hook.socket uplinkd-control.socket uplinkd-read.socket uplinkd.service"
echo "  uplinkctl status               (it observes, and changes nothing)"
echo "  uplinkctl enable --confirm 60s (then it enforces; keep it with uplinkctl confirm)"
echo "  systemctl restart libvirtd     (once: libvirt looks for hooks when it starts; running VMs go on)"
