/**
 * The frame that says where a vNIC is: QEMU's own form (net/announce.c, announce_self_create), a reverse ARP
 * request by broadcast. Every switch on its way learns the sender's port from it; nobody answers it.
 */
import { type Mac, macBytes } from "../model/mac.ts";

export const ETHERTYPE_RARP = 0x8035;
export const ETHERTYPE_VLAN = 0x8100;

/** IEEE 802.3: 64 bytes less the checksum, which the NIC adds. */
const LEAST_FRAME_BYTES = 60;
const VLAN_TAG_BYTES = 4;

const ARP_OVER_ETHERNET = 1;
const IPV4 = 0x0800;
const REVERSE_REQUEST = 3;

/**
 * @param vlanId 802.1Q id; 0 for an untagged frame
 * @returns 60 bytes, 64 with a tag, so that it stays a whole frame where a switch takes the tag away
 */
export function announcementFrame(mac: Mac, vlanId: number): Uint8Array {
  const tagBytes = vlanId === 0 ? 0 : VLAN_TAG_BYTES;
  const frame = new Uint8Array(LEAST_FRAME_BYTES + tagBytes);
  const view = new DataView(frame.buffer);
  const source = macBytes(mac);
  frame.fill(0xff, 0, 6);
  frame.set(source, 6);
  if (vlanId !== 0) {
    view.setUint16(12, ETHERTYPE_VLAN);
    view.setUint16(14, vlanId);
  }
  const body = 12 + tagBytes;
  view.setUint16(body, ETHERTYPE_RARP);
  view.setUint16(body + 2, ARP_OVER_ETHERNET);
  view.setUint16(body + 4, IPV4);
  frame[body + 6] = 6;
  frame[body + 7] = 4;
  view.setUint16(body + 8, REVERSE_REQUEST);
  // Sender's and target's hardware address; both protocol addresses stay 0.
  frame.set(source, body + 10);
  frame.set(source, body + 20);
  return frame;
}
