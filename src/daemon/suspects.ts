/**
 * Who is likely to have changed a device's objects. The kernel's messages don't say: they carry the port number of a
 * socket, whose process may be gone by now and which our unit isn't allowed to see (ProtectProc=invisible). What is left
 * are the files by which network managers tell which devices they have.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A sentence's subject, with the evidence in brackets. @param root "/" but in tests */
export function suspectOf(device: string, root = "/"): string {
  const ifindex = read(join(root, "sys/class/net", device, "ifindex"))?.trim();
  if (ifindex !== undefined) {
    const networkManager = `run/NetworkManager/devices/${ifindex}`;
    // "unmanaged" is NetworkManager's word for what it leaves alone.
    const state = read(join(root, networkManager));
    if (
      state !== undefined &&
      !/^managed-type=unmanaged/m.test(state) &&
      /^connection-uuid=/m.test(state)
    )
      return `NetworkManager (it has ${device}: /${networkManager})`;
    const networkd = `run/systemd/netif/links/${ifindex}`;
    const link = read(join(root, networkd));
    if (link !== undefined && /^NETWORK_FILE=/m.test(link))
      return `systemd-networkd (it has ${device}: /${networkd})`;
  }
  if (existsSync(join(root, "run/openvswitch/ovs-vswitchd.pid")))
    return "Open vSwitch, if one of its ports has QoS (/run/openvswitch/ovs-vswitchd.pid is there), or a script with tc or ip";
  return `a script with tc or ip, or another program that sets up QoS (no network manager says that it has ${device})`;
}

/**
 * Who makes such root qdiscs; "" where many do. libvirt's <bandwidth> and Open vSwitch's linux-htb both take 1: by
 * default, libvirt for taps and bridges only (virNetDevBandwidthSet).
 * @param found as in a conflict: `root qdisc htb 1:`
 */
export function makerOf(found: string): string {
  if (/\bhtb 1:/.test(found))
    return "libvirt's <bandwidth>, Open vSwitch's linux-htb and most scripts with tc make this one";
  if (/\bhfsc 1:/.test(found)) return "Open vSwitch's linux-hfsc makes this one";
  if (/\bmq\b/.test(found))
    return "the kernel makes this one by itself for a NIC with several queues";
  if (/\bcake\b/.test(found)) return "sqm-scripts, or systemd-networkd with [CAKE], make this one";
  return "";
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
