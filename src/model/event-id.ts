/**
 * Every id that the log has, what it says, and what a person does about it. The reference's table and the journal's
 * catalogue (`journalctl -x`) are made of it. An id, once published, keeps its meaning.
 */

interface EventMeaning {
  /** A sentence that holds for each such line. */
  readonly means: string;
  /** What to do; absent where nothing is to be done. */
  readonly todo?: string;
}

/** Look first at what the rest of the story says. */
const EXPLAIN = "`uplinkctl status` and `uplinkctl explain DOMAIN` say what holds now.";
const REPORT = "A mistake of uplinkd's own: please report it with the lines around it.";

export const EVENTS = {
  // An uplink fails, and returns.
  "uplink-lost": {
    means: "An uplink has no link any more, or its path is dead.",
    todo: "Look at cable, switch port and driver. What the rates are now stood in the kernel before.",
  },
  "loss-answered": {
    means: "What was prepared for this loss was sent to the kernel, after so many microseconds.",
  },
  announced: { means: "The network was told that a vNIC goes by another uplink now." },
  "team-degraded": {
    means: "A team lacks an uplink and goes on with the others.",
    todo: EXPLAIN,
  },
  "team-isolated": {
    means: "A team has no usable uplink: its domains reach nobody outside.",
    todo: "`uplinkctl status` says of each uplink why it is not usable.",
  },
  "vnic-moved": { means: "A vNIC goes by another uplink than before, for the reason told." },
  "domain-action": { means: "A domain is to be discarded, paused, moved or resumed." },
  "domain-paused": {
    means: "uplinkd paused a domain, as its policy asks for.",
    todo: "It resumes by itself once what it needs fits; `uplinkctl hold DOMAIN` resumes it now.",
  },
  "domain-migrating": { means: "uplinkd moves a domain to another host, as its policy asks for." },
  "domain-migrated": { means: "A domain that uplinkd moved runs at its destination." },
  "domain-left": {
    means: "A domain that uplinkd was moving is no longer here: it was moved, or has ended.",
  },
  "domain-stayed": {
    means:
      "A domain was not moved, and goes on here; another destination, or this one later, is tried.",
    todo: "The line has the reason, often the destination's own.",
  },
  "uplink-returned": { means: "An uplink works again; it is used once `holdDown` has passed." },
  "team-ok": { means: "A team has all its uplinks." },
  "domain-taken-over": {
    means:
      "Somebody else resumed a domain that uplinkd had paused: it is left alone until its team is whole.",
  },
  "domain-resumed": { means: "A domain that uplinkd paused runs again." },
  "team-barred": {
    means: "A team is not managed, because the part that was enabled leaves it out.",
  },
  "team-refused": {
    means: "uplinkd can't manage a bond as it is, for the reasons told, and leaves it alone.",
    todo: "`uplinkctl doctor` names the command that mends it.",
  },

  // Domains and their promises.
  "vnic-placed": { means: "A vNIC is new: its uplink, its class, its rates and why." },
  "vnic-gone": { means: "A vNIC is gone, and its class with it." },
  "domain-stopped": { means: "libvirt's hook told that a domain ended." },
  "domain-unread": { means: "A domain could not be read from libvirt; it is asked for again." },
  "domain-refused": {
    means:
      "libvirt was told not to start a domain: its reservation does not fit (`admission: enforce`).",
    todo: "Reserve less, start it elsewhere, or mend the uplink that is missing.",
  },
  "domain-unfit": {
    means: "A domain starts although its reservation does not fit (`admission: warn`).",
    todo: "Reserve less, or start it elsewhere.",
  },
  annotation: {
    means: "An annotation has a mistake; the rest of it is used.",
    todo: "`uplinkctl set DOMAIN` or `virsh edit DOMAIN`, at the line told.",
  },
  problem: {
    means: "Something keeps a promise from being kept, or a wish from being followed.",
    todo: EXPLAIN,
  },
  "move-suggested": {
    means: "A team with `rebalance: suggest` would be more even with this move.",
    todo: "`rebalance: on` makes such moves.",
  },
  "source-forged": {
    means: "An interface sent frames with the source address of a vNIC that isn't its own.",
    todo: "Look at the guest behind it; `sources: drop` in the team discards such frames.",
  },
  "source-unregistered": {
    means: "An interface sent frames with a source address that is no vNIC's.",
    todo: "Look at the guest behind it: it may have several addresses by right.",
  },
  "action-failed": {
    means: "libvirt refused or failed to pause, resume or move a domain; it is tried again.",
    todo: "`virsh domstate DOMAIN` and libvirtd's log say more.",
  },
  "pause-adopted": {
    means: "A pause that was under way when the daemon stopped is uplinkd's own.",
  },
  "migration-adopted": {
    means: "A migration that an earlier run of the daemon began is watched on.",
  },
  "migration-aborted": {
    means: "uplinkd ended a migration of its own, for the reason told.",
    todo: "The domain runs here as before.",
  },
  "migration-unanswered": {
    means: "libvirt did not say how a migration ended; what libvirt shows of the domain decides.",
    todo: "`virsh domjobinfo DOMAIN` here, `virsh list` at the destination.",
  },

  // What an operator did.
  enabled: { means: "The plan is put in force, for all or for the part told." },
  confirmed: { means: "What was enabled with `--confirm` stays." },
  "rolled-back": {
    means: "Nobody confirmed what was enabled in time: the host is as before.",
    todo: "`uplinkctl enable --confirm TIME`, then `uplinkctl confirm` in time.",
  },
  released: {
    means: "All that is uplinkd's was taken from the kernel, and what was there put back.",
  },
  "domain-held": {
    means: "An operator keeps uplinkd from pausing, discarding or moving a domain.",
  },
  "domain-unheld": { means: "A domain's policy holds again." },
  "uplink-drained": { means: "An operator takes an uplink out of use." },
  "uplink-undrained": { means: "A drained uplink is in use again." },
  reloaded: { means: "The configuration was read anew and holds." },
  configuration: {
    means: "A mistake in the configuration, with its place.",
    todo: "`uplinkctl policy check FILE` checks a file before the daemon reads it.",
  },
  "not-reloaded": {
    means: "The new configuration has mistakes: the old one stays in force.",
    todo: "Mend what the lines before name, then `systemctl reload uplinkd`.",
  },

  // Others at work.
  conflict: {
    means: "Something foreign stands where uplinkd's objects have to be; it is left alone.",
    todo: "The line names the command that makes room.",
  },
  "conflict-gone": { means: "What was in the way is gone." },
  drift: {
    means: "The kernel holds something else than was written.",
    todo: "`uplinkctl status` lists the objects; the next look tries again.",
  },
  "drift-over": {
    means: "What differed from the plan is as planned again, or is planned no more.",
  },
  "drift-mended": {
    means: "Somebody else changed or removed objects of uplinkd's; they are as planned again.",
    todo: "Find who does it: a network script, another manager.",
  },
  contest: {
    means:
      "Somebody else changes an object of uplinkd's again and again; it is left to them for a while.",
    todo: "End that program's or this one's care for the device.",
  },
  "contest-over": { means: "Nobody else changes the object any more." },

  // Probes.
  "probe-failed": {
    means: "A probe could not be sent.",
    todo: "The line has the kernel's reason.",
  },
  "target-silent": {
    means: "A probe's target answers by no uplink: it counts for nothing until it does.",
    todo: "Look at the target, or name another in `probes`.",
  },
  "target-answers": { means: "A probe's target answers again." },
  "paths-unknown": {
    means:
      "By no uplink anything comes in, so that probes can't tell them apart; nothing is moved.",
    todo: "Look at the switch, or at the targets.",
  },
  "paths-known": { means: "Probes tell the uplinks apart again." },
  "announce-failed": {
    means: "An announcement could not be sent; the others are.",
    todo: "The line has the kernel's reason.",
  },

  // The daemon itself.
  ready: { means: "The daemon has looked, planned and listens." },
  stopped: { means: "The daemon ends; what it enforces stays in the kernel." },
  "libvirt-up": { means: "libvirt answers." },
  "libvirt-down": {
    means: "libvirt or libvirt-dbus does not answer; known domains keep what they have.",
    todo: "`uplinkctl doctor`; `systemctl status libvirtd`.",
  },
  "libvirt-failed": { means: "A question to libvirt failed.", todo: "libvirtd's log says more." },
  "lines-lost": {
    means: "journald took nothing for a while; as many lines as told are missing in its journal.",
    todo: "`uplinkctl events` has them; look at systemd-journald.",
  },
  overrun: { means: "The kernel had more events than were read; everything is read anew." },
  "monitor-failed": {
    means: "No kernel events come any more; everything is read every few seconds.",
    todo: "`systemctl restart uplinkd` when convenient; enforcement stays.",
  },
  "kernel-refused": {
    means: "The kernel refused an object of the plan.",
    todo: "`uplinkctl doctor` says which part of the kernel is missing, if one is.",
  },
  "state-unreadable": {
    means: "The daemon's journal could not be read; it goes on without what was in it.",
    todo: "Look at /var/lib/uplinkd and its disk.",
  },
  "state-lost": {
    means:
      "The journal could not be used, so whether this host was released isn't known: the daemon looks on and changes nothing.",
    todo: "`uplinkctl enable` if it is to be enforced, `uplinkctl release` if not; then hold and drain again what was.",
  },
  "state-unwritable": {
    means: "The daemon's journal could not be written; nothing that needs it is changed.",
    todo: "Look at /var/lib/uplinkd and its disk.",
  },
  "undo-unwritten": {
    means: "A file that undoes things without the daemon could not be written.",
    todo: "Look at /run/uplinkd, /var/lib/uplinkd and their disks.",
  },

  // Errors by their kind, logged once.
  policy: { means: "A policy or annotation can't be used.", todo: "Mend it at the place told." },
  netlink: { means: "The kernel did not answer as expected; everything is read anew." },
  packet: {
    means: "There is no raw socket: nothing is announced or probed, all else goes on.",
    todo: "The daemon needs CAP_NET_RAW; look for drop-ins: `systemctl cat uplinkd`.",
  },
  libvirt: { means: "libvirt refused or did not answer; it is tried again." },
  hook: { means: "A hook's request could not be understood; the domain starts all the same." },
  state: { means: "The daemon's state on disk failed.", todo: "Look at the disk." },
  invariant: { means: "Something that the program relies on does not hold.", todo: REPORT },
  bug: { means: "Something failed that should not.", todo: REPORT },
} as const satisfies Readonly<Record<string, EventMeaning>>;

export type EventId = keyof typeof EVENTS;

/** Every id, in the order of a story. */
export const EVENT_IDS = Object.keys(EVENTS) as readonly EventId[];

/** What an id stands for. */
export function meaningOf(id: EventId): EventMeaning {
  return EVENTS[id];
}

/** The id under which an error of this kind is told. */
export function eventOfError(kind: string): EventId {
  return isEventId(kind) ? kind : "bug";
}

function isEventId(word: string): word is EventId {
  return Object.hasOwn(EVENTS, word);
}
