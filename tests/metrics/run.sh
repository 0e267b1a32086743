#!/bin/sh
# The page of metrics and the rules of conf/prometheus, judged by promtool and a real Prometheus: run.sh. In the environment:
# BUILD (build).
set -eu
cd "$(dirname "$0")/../.."
# The python3 of a version manager does not see the modules of Debian's packages.
python=python3
$python -c 'import prometheus_client' 2>/dev/null || python=/usr/bin/python3
promtool check rules conf/prometheus/rules.yml conf/prometheus/alerts.yml
promtool check config --syntax-only conf/prometheus/prometheus.yml
promtool test rules conf/prometheus/tests.yml
exec $python -B tests/metrics/metrics.py "${BUILD:-build}/tollgate"
