/** Prints metrics of a host that lacks an uplink: for promtool, which wants some to look at. */
import { renderMetrics } from "../../../src/control/metrics.ts";
import { exampleMeasurements, exampleStatus } from "./fake-daemon.ts";

process.stdout.write(renderMetrics(exampleStatus, exampleMeasurements(1)));
