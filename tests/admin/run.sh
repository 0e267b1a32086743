#!/bin/sh
# run.sh NAME: one story about the admin port (tests/admin/NAME.py), against the gateway of the build in $BUILD.
set -eu
exec python3 "tests/admin/$1.py" "${BUILD:-build}/tollgate"
