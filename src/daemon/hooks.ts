/** What each call of libvirt's hook means for the registry and the kernel. */
import type { HookAnswer, HookRequest } from "../hook/request.ts";
import { removeUndo } from "../hook/undo.ts";
import { parseDomainXml } from "../libvirt/domain-xml.ts";
import type { DomainPhase } from "../model/domain.ts";
import type { Mac } from "../model/mac.ts";
import type { Admissions } from "./admissions.ts";
import type { EventLog } from "./events.ts";
import type { Registry } from "./registry.ts";

export interface HooksOptions {
  readonly registry: Registry;
  readonly log: EventLog;
  readonly runDir: string;
  /** Observes, plans and applies at once: what is programmed when it returns is in force before the guest runs. */
  readonly enforce: () => Promise<void>;
  /** What an earlier run of the daemon left for these vNICs is nobody's any more. */
  readonly disown: (macs: readonly Mac[]) => void;
  /** Asks libvirt about everything, soon. */
  readonly lookAgain: (why: string) => void;
  /** Judges starts; asked on `prepare begin` and `migrate begin` only, which may refuse. */
  readonly admissions: Pick<Admissions, "admit" | "settle">;
}

/** Answers one call. */
export async function handleHook(options: HooksOptions, request: HookRequest): Promise<HookAnswer> {
  const { registry, log } = options;
  const { domain, operation, subOperation } = request;
  switch (`${operation} ${subOperation}`) {
    case "prepare begin": {
      const reason = options.admissions.admit(request);
      return reason === null ? { accept: true } : { accept: false, reason };
    }
    case "migrate begin": {
      const reason = options.admissions.admit(request);
      if (reason !== null) return { accept: false, reason };
      await take(options, request, "incoming");
      return { accept: true };
    }
    case "start begin": {
      // An incoming guest is started here too, while it still runs at its source.
      const uuid = registry.findByName(domain);
      const phase =
        uuid !== null && registry.phaseOf(uuid) === "incoming" ? "incoming" : "starting";
      const taken = take(options, request, phase);
      // From here on the registry counts it.
      options.admissions.settle(domain);
      await taken;
      return { accept: true };
    }
    case "started begin": {
      const uuid = registry.findByName(domain);
      if (uuid !== null && registry.phaseOf(uuid) === "starting")
        registry.setPhase(uuid, "running");
      return { accept: true };
    }
    case "reconnect begin":
    case "attach begin":
      await take(options, request, "running");
      // libvirtd has just restarted: libvirt-dbus is silent until it is asked, and a paused guest isn't told apart here.
      options.lookAgain("hook reconnect");
      return { accept: true };
    case "stopped end":
    case "release end": {
      options.admissions.settle(domain);
      const uuid = registry.findByName(domain);
      if (uuid === null) {
        // Started before this run of the daemon, which libvirt hasn't told of it yet. What is being read of it just now is
        // of before its end.
        const { uuid: ended, vnics } = parseDomainXml(request.xml, `domain ${domain}`);
        registry.remove(ended);
        options.disown(vnics.map(({ mac }) => mac));
        await options.enforce();
      } else if (registry.remove(uuid)) {
        log.tell("info", "domain-stopped", `domain ${domain} stopped`, { domain });
        await options.enforce();
      }
      removeUndo(options.runDir, domain);
      return { accept: true };
    }
    default:
      return { accept: true };
  }
}

async function take(
  options: HooksOptions,
  request: HookRequest,
  phase: DomainPhase,
): Promise<void> {
  const definition = parseDomainXml(request.xml, `domain ${request.domain}`);
  options.registry.put(definition, phase);
  for (const problem of definition.problems) {
    options.log.tell("warning", "annotation", `${problem.object}: ${problem.message}`, {
      domain: definition.name,
    });
  }
  await options.enforce();
}
