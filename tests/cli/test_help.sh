#!/usr/bin/env bash
# Every command explains itself; what is mistyped gets the nearest name and exit code 2.
source tests/cli/lib.sh

check "help lists the commands" 0 '^  predict +logits' "$AUGMINT" --help
check "no command is an error" 2 'no command given' "$AUGMINT"
for command in run plan status submit cancel retry gc reproduce work report verify schema doctor data sample augment export predict weights bench; do
  check "$command --help" 0 "^augmint $command " "$AUGMINT" "$command" --help
done
check "unknown command" 2 'did you mean predict' "$AUGMINT" predcit
check "unknown option" 2 'did you mean --images' "$AUGMINT" predict --imges x
check "option without its value" 2 'out' "$AUGMINT" export shards --out
check "missing words" 2 'usage: augmint export' "$AUGMINT" export
check "missing options" 2 'needs --weights' "$AUGMINT" predict --images .
check "schema prints every chapter" 0 '^metrics:' "$AUGMINT" schema
check "schema of one section" 0 'epochs +integer' "$AUGMINT" schema train
check "schema of one transform" 0 'degrees' "$AUGMINT" schema rotation
check "schema of manifests" 0 'class_pattern' "$AUGMINT" schema manifest
check "schema of site profiles" 0 'job_length' "$AUGMINT" schema profile
check "unknown schema" 2 'there is no schema "trian"' "$AUGMINT" schema trian
check "doctor" 0 '^0 failures' "$AUGMINT" doctor --manifests "$manifests"
check "doctor without manifests" 1 '^fail data' "$AUGMINT" doctor --manifests nowhere
finish
