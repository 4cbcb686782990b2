/** Answers of type NLMSG_ERROR: acknowledgements and refusals, with the kernel's own words where it has some. */
import { NetlinkError, type Retry } from "../model/errors.ts";
import { EAGAIN, EINVAL, ENOBUFS, EPERM, errnoMessage, errnoName } from "../native/errno.ts";
import { Attributes, malformed, viewOf } from "./attribute.ts";
import { HEADER_BYTES, type Message } from "./message.ts";

const EBUSY = 16;
const ENOMEM = 12;
const EOPNOTSUPP = 95;
/** The answer carries attributes behind errno and request header (NETLINK_EXT_ACK). */
const NLM_F_ACK_TLVS = 0x200;
/** The answer repeats the request's header only, not all of it (NETLINK_CAP_ACK). */
const NLM_F_CAPPED = 0x100;
const NLMSGERR_ATTR_MSG = 1;

export interface Answer {
  readonly sequence: number;
  /** A positive errno; 0 acknowledges. */
  readonly errno: number;
  /** The kernel's words (extended ack), which may also be a warning of a success; "" for none. */
  readonly extAck: string;
}

/** @throws NetlinkError where the answer is too short to hold an errno */
export function parseAnswer(message: Message): Answer {
  const { body } = message;
  if (body.length < 4) throw malformed("netlink", `an answer of ${body.length} bytes`);
  const errno = Math.abs(viewOf(body).getInt32(0, true));
  return { sequence: message.sequence, errno, extAck: extAckOf(message) };
}

/** The error for a refused request. @param object what the request was about: `class nic0 7570:11` */
export function refusal(object: string, errno: number, extAck: string): NetlinkError {
  const words = extAck === "" ? "" : `: ${extAck}`;
  return new NetlinkError(
    object,
    errno,
    extAck,
    `the kernel refused ${object}: ${errnoName(errno)} (${errnoMessage(errno)})${words}; ${remedy(errno)}`,
    retryOf(errno),
  );
}

function extAckOf(message: Message): string {
  if ((message.flags & NLM_F_ACK_TLVS) === 0 || message.body.length < 4 + HEADER_BYTES) return "";
  // Without NLM_F_CAPPED a refusal repeats the whole request before the attributes.
  const echoed = viewOf(message.body).getUint32(4, true);
  const skip =
    4 + ((message.flags & NLM_F_CAPPED) !== 0 ? HEADER_BYTES : Math.max(HEADER_BYTES, echoed));
  if (skip >= message.body.length) return "";
  const attributes = Attributes.parse("extended ack", message.body.subarray((skip + 3) & ~3));
  return attributes.text(NLMSGERR_ATTR_MSG) ?? "";
}

function retryOf(errno: number): Retry {
  if (errno === EPERM || errno === EOPNOTSUPP) return "never";
  if (errno === EBUSY || errno === ENOMEM || errno === EAGAIN || errno === ENOBUFS)
    return "backoff";
  return "resync";
}

function remedy(errno: number): string {
  switch (errno) {
    case EPERM:
      return "uplinkd needs CAP_NET_ADMIN; see the unit's AmbientCapabilities";
    case EOPNOTSUPP:
    case EINVAL:
      return "check that the kernel has what `uplinkctl doctor` asks for";
    default:
      return "the state is read anew";
  }
}
