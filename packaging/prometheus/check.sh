#!/bin/sh
# Has promtool (Debian: apt-get install prometheus) look at the metrics' names and at the alert rules, and play through what makes each fire.
set -eu
cd "$(dirname "$0")/../.."
promtool=${PROMTOOL:-promtool}
command -v "$promtool" >/dev/null || {
  echo "there is no promtool: apt-get install prometheus, or name one by PROMTOOL" >&2
  exit 1
}
node_modules/.bin/node test/unit/control/example-metrics.ts | "$promtool" check metrics
"$promtool" check rules packaging/prometheus/uplinkd.rules.yml
"$promtool" test rules packaging/prometheus/uplinkd.rules.test.yml
