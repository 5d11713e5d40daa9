#!/usr/bin/env bash
# promtool of Prometheus 2.42, asked to check numbers in the text format of OpenMetrics (with its "# EOF"), says that each counter
# has no help text, although Prometheus itself reads the help, the type and the value as they are meant: `check metrics`
# knows the older text format alone, in which a family of counters is named with its "_total".
#
# A good guess from memory is "promtool check metrics lints what Prometheus scrapes": an exporter that speaks OpenMetrics fails
# a gate in CI by it, or is "mended" into a format that others refuse.
#
# Seen on 2026-11-29 with prometheus 2.42.0+ds-5+deb12u1 of Debian 12, prometheus-client 0.22.1 of PyPI as the writer, x86-64.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download prometheus=2.42.0+ds-5+deb12u1 > /dev/null 2>&1
dpkg-deb --extract prometheus_*.deb prometheus
python3 -m venv python
python/bin/python3 -m pip install --quiet 'prometheus-client==0.22.1'
cat > write.py <<'PYTHON'
import sys
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics import exposition, parser

registry = CollectorRegistry()
Counter("requests", "Requests that were answered.", registry=registry).inc(3)
openmetrics = exposition.generate_latest(registry).decode()
families = list(parser.text_string_to_metric_families(openmetrics))
assert [(it.name, it.type, it.documentation) for it in families] == [("requests", "counter", "Requests that were answered.")]
open("openmetrics", "w").write(openmetrics)
open("older", "wb").write(generate_latest(registry))
PYTHON
python/bin/python3 write.py
check() { prometheus/usr/bin/promtool check metrics < "$1" 2>&1 || true; }
check openmetrics > openmetrics.said
check older > older.said
printf 'OpenMetrics: %s\nolder format: %s\n' "$(tr '\n' ';' < openmetrics.said)" "$(tr '\n' ';' < older.said)"
grep -q '^requests_total no help text' openmetrics.said
! grep -q 'no help text' older.said
