#!/usr/bin/env bash
# gc removes what no experiment refers to, and nothing else: whoever runs beside it, wherever it is killed.
cd "$(dirname "$0")/../.." && . tests/tap.sh
AUGMINT=$(realpath "$AUGMINT")
# Two experiments that share all but eight stages: seeds 1 and 2 of two arms, trained and evaluated.
one=tests/cli/base.yaml two=$scratch/two.yaml
sed 's/^name: cli/name: two/; s/^seeds: 1/seeds: 3/' "$one" >"$two"
augmint() { "$AUGMINT" "$@" --results "$results"; }
gc() { augmint gc "$@"; }
now() { gc --min-age 0 "$@"; }
listing() { (cd "$results" && find . -type f | sort | xargs sha256sum); }
names() { (cd "$results/store" && find . -mindepth 2 -maxdepth 2 | sort); }
fresh() {  # a store with both experiments, of which the second is given up
  count=$((${count:-0} + 1))
  results=$scratch/results-$count
  cp -a "$scratch/both" "$results"
  rm -r "$results/two"
}

results=$scratch/none
check "without a store there is nothing to do" ends_with 0 "nothing to remove" gc
check "and nothing is made" test ! -e "$results"
results=$scratch/one && augmint run "$one" >/dev/null 2>&1
results=$scratch/both && augmint run "$one" >/dev/null 2>&1 && augmint run "$two" >/dev/null 2>&1
cp -a "$scratch/both" "$scratch/whole"
same_as() { diff <(store_digest "$1") <(store_digest "$results"); }
check "what experiments refer to is no waste" ends_with 0 "nothing to remove" now
check "the notes say what each stage is" grep -qE '^[0-9a-f]{64}  train gan, net seed 2$' "$results/two/stages.txt"

# ---- what is said, what is removed ----
fresh
before=$(listing)
check "what is younger than a day stays" ends_with 0 "left alone: 8 that nothing refers to" gc --remove
check "an age is checked" ends_with 2 '--min-age is 0, 90m, 2h or 7d, not "soon"' gc --min-age soon
check "gc says what it would remove" ends_with 0 "8 artefacts that no experiment refers to" now
check "and why the rest stays" grep -qF "  cli: 10 stages" "$scratch/out"
check "and what to do" grep -qF "next: $AUGMINT gc --results $results --min-age 0 --remove" "$scratch/out"
check "in detail, too" ends_with 0 "train gan, net seed 2" now --list
check "a named file keeps what it refers to" ends_with 0 "nothing to remove" now "$two"
check "so far nothing was removed" test "$before" = "$(listing)"
check "gc --remove removes" ends_with 0 "8 artefacts that no experiment refers to" now --remove
check "all of it" ends_with 0 "nothing to remove" now
check "and nothing that another experiment refers to" same_as "$scratch/one"
check "of which the run finds everything" ends_with 0 "nothing to do: all 10" augmint run "$one"
check "and the other makes what was removed" ends_with 0 "done: 8 stages" augmint run "$two"
check "with the same bytes" same_as "$scratch/whole"
augmint run "$two" --set seeds=2 >/dev/null 2>&1
check "what an experiment needed before it was edited goes" ends_with 0 "4 artefacts" now --remove
find "$results/store" -exec touch -d '2 days ago' {} +
rm -r "$results/two"
check "what is old goes without a word about age" ends_with 0 "4 artefacts" gc --remove
check "to the last of it" same_as "$scratch/one"

# ---- what is not known ----
fresh
rm "$results/cli/stages.txt"
check "a table of which nothing is noted stops it" ends_with 2 "cli does not say which stages it refers to" now --remove
check "unless its file is named" ends_with 0 "8 artefacts" now "$one" --remove
rm -r "$results/cli"
check "a store to which nothing refers is not emptied" ends_with 2 "name the experiments' files" now --remove
check "which is said in time" ends_with 0 "10 artefacts" now
echo "what is this" >"$scratch/stages.txt" && mkdir "$results/cli" && mv "$scratch/stages.txt" "$results/cli"
check "a note that is none is an error" ends_with 1 "is not a list of stages" now

# ---- what a kill left ----
fresh
done_address=$(sed -n '1s/ .*//p' "$results/cli/stages.txt")
place=$results/store/${done_address:0:2}/$done_address
mkdir -p "$place.part.0123456789abcdef/out" "$place.gone.0123456789abcdef" "$place.part.0123456789abcdee/checkpoint"
echo "failures 1" >"$place.failed"
AUGMINT_FAULT=die:40 augmint run "$one" --set train.epochs=50 >/dev/null 2>&1
find "$results/store" -name '*.lease' -exec cp {} "$scratch/dead.lease" \;
dead=$scratch/dead.lease
cp "$dead" "$place.lease"
cp "$dead" "$place.lease.00000000000000aa"
checkpoints() {
  (cd "$results/store" && find . \( -path '*.part.*' -o -name '*.lease' \) -type f ! -path "*$done_address*" | sort | xargs sha256sum)
}
unfinished=$(checkpoints)
check "an experiment was killed in the middle" test -n "$unfinished"
check "left-overs of a finished stage go" ends_with 0 "3 left-overs of stages that are finished" now "$one" --remove
check "with its leases" grep -qE "2 leases of processes that are gone" "$scratch/out"
check "and its failure" grep -qE "1 notes of failures" "$scratch/out"
only_artefact() { diff <(echo "$place") <(ls -d "$place"*); }
check "the stage itself stays" only_artefact
still() { [[ $unfinished == "$(checkpoints)" ]]; }
check "a checkpoint that an experiment needs stays, and what it has cost" still
check "the run goes on from it" ends_with 0 "done: " augmint run "$one" --set train.epochs=50
AUGMINT_FAULT=die:40 augmint run "$one" --set train.epochs=60 >/dev/null 2>&1
augmint run "$one" >/dev/null 2>&1
check "an unfinished stage that nobody needs goes" ends_with 0 "1 unfinished stages that no experiment refers to" now --remove
check "and the store is as one run makes it" same_as "$scratch/one"
check "without any other name" test "$(names)" = "$(results=$scratch/one names)"

# ---- beside others ----
fresh
held=
AUGMINT_FAULT=stall:12 "$AUGMINT" run "$two" --set train.epochs=50 --results "$results" >/dev/null 2>&1 &
holder=$!
for ((i = 0; i < 100; i++)); do  # until it stands still
  before=$held held=$(find "$results/store" -name '*.part.*' -prune)
  [[ -n $held && $held == "$before" ]] && break
  sleep 0.5
done
check "somebody is at a stage" test -n "$held"
check "which stays" ends_with 0 "left alone: 1 stages that somebody is at" now --remove
check "with what it has so far" test -d "$held"
mv "$results/two/stages.txt" "$scratch/kept.txt"
check "of an experiment that is not known, it stops gc" ends_with 1 "somebody is at 1 stages" now --remove
kill -9 $holder
wait $holder 2>/dev/null

fresh
now --remove >"$scratch/first" 2>&1 & a=$!
now --remove >"$scratch/second" 2>&1 & b=$!
one_at_least() {
  local failed=0
  wait $a || failed=$((failed + 1))
  wait $b || failed=$((failed + 1))
  cat "$scratch/first" "$scratch/second"
  ((failed < 2))
}
check "of two at once one does it, or both" one_at_least
now --remove >/dev/null 2>&1
check "and nothing else goes" same_as "$scratch/one"
mkdir "$results/other" && cp "$dead" "$results/store/gc.lease"
sed -i "s/^pid .*/pid $$ $(sed 's/.*) //' /proc/$$/stat | cut -d' ' -f20)/" "$results/store/gc.lease"
check "a second one says who is at it" ends_with 1 "another gc of $results is at work, by" now --remove
rm "$results/store/gc.lease"
fresh
"$AUGMINT" run "$two" --results "$results" >"$scratch/first" 2>&1 & a=$!
for i in 1 2 3 4; do now --remove >"$scratch/second" 2>&1; done
run_ends() { wait $a; local status=$?; cat "$scratch/first"; return $status; }
check "a run beside it ends well" run_ends
check "with the same bytes" same_as "$scratch/whole"

# ---- killed, or hindered, anywhere ----
sound() {  # what is there is whole, the next gc finishes, the next run makes the rest
  ends_with 0 ", 0 bad" augmint verify || return 1
  now --remove || return 1
  same_as "$scratch/one" || return 1
  [[ $(names) == "$(results=$scratch/one names)" ]] || { names; return 1; }
  augmint run "$two" >/dev/null 2>&1
  same_as "$scratch/whole"
}
hurt() {  # hurt FAULT: gc under it, and then all is well
  fresh
  AUGMINT_FAULT=$1 now --remove
  sound
}
for n in 1 2 3 8 16; do check "killed at its point $n" hurt "die:$n"; done
for n in 1 3 8; do check "when rename $n fails" hurt "io:$n"; done
for n in 1 200 800 1500 2500; do check "when allocation $n fails" hurt "alloc:$n"; done

# ---- submissions ----
mkdir "$scratch/bin" && export FAKE_SLURM=$scratch/slurm && mkdir -p "$FAKE_SLURM/words"
: >"$FAKE_SLURM/queue" >"$FAKE_SLURM/calls"
for command in sbatch squeue scancel scontrol srun; do ln -s "$PWD/tests/cli/fake_slurm.sh" "$scratch/bin/$command"; done
export PATH=$scratch/bin:$PATH
echo "ranks_per_node: 4" >"$scratch/site.yaml"
fresh
augmint submit "$two" --set seeds=5 --profile "$scratch/site.yaml" >/dev/null 2>&1
rm -r "$results/two"
check "what jobs in the queue need stays" ends_with 0 "nothing to remove" now
check "which is said" grep -qE "submission [-0-9a-f]+: 26 stages" "$scratch/out"
touch "$FAKE_SLURM/away"
check "also when Slurm does not answer" ends_with 0 "nothing to remove" now
rm "$FAKE_SLURM/away"
: >"$FAKE_SLURM/queue"
check "until they have left it" ends_with 0 "8 artefacts" now --remove
check "and then goes" same_as "$scratch/one"
finish
