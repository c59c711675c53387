#!/usr/bin/env bash
# The lint as a test, so that it is counted with the others.
echo "1..1"
if report=$(python3 tests/lint/lint.py 2>&1); then echo "ok 1 - lint"; else echo "not ok 1 - lint"; echo "$report"; fi
