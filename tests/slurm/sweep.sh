# For the tests that submit tests/slurm/sweep.yaml: what it gives when it is run here, and how a sweep is compared with
# that. Needs tests/slurm/lib.sh.
experiment=tests/slurm/sweep.yaml
name=sweep
reference=$scratch/local
results=$scratch/results
wide=slurm/profiles/test.yaml  # jobs of up to 2 nodes x 2 ranks
stages=110

run_here() { mpirun -n 2 "$AUGMINT" run "$experiment" --results "$reference"; }
submit() { "$AUGMINT" submit "$experiment" --results "$results" --profile "$@"; }

# Every column but the device-hours, which depend on the machine's other work and on what was interrupted; so do the
# seconds and hosts in results.h5 and report.html.
tables() { (cd "$1/$name" && cat table.csv && sed '/^### spent/,$d' table.md && cut -d, -f1-5 spent.csv); }
same_tables() { diff <(tables "$reference") <(tables "$results") && [[ -s $results/$name/table.csv ]]; }
# same_files PATTERN: files of finished stages with such names are the same bytes under the same addresses.
hashes() { (cd "$1/store" && find . -name "$2" ! -path '*.part.*' | sort | xargs -r sha256sum); }
same_files() {
  diff <(hashes "$reference" "$1") <(hashes "$results" "$1") && [[ -n $(hashes "$reference" "$1") ]]
}
same_store() { diff <(store_digest "$reference") <(store_digest "$results"); }
check_sameness() {
  check "the tables are those of the local run, but for hours" same_tables
  check "so are all $(hashes "$reference" 'block-*.h5' | wc -l) shards of pools and images" same_files 'block-*.h5'
  check "and all $(hashes "$reference" '*.safetensors' | wc -l) files of weights" same_files '*.safetensors'
  check "and every other file that a stage made" same_store
}

# ---- each stage once ----
rank_logs() { find "$results"/slurm/*/log -name 'rank*.log' -exec cat {} +; }
made() { rank_logs | sed -n 's/^[^ ]* made \(.*\) in [0-9.]* s$/\1/p'; }
done_stages() { find "$results/store" -name DONE ! -path '*.part.*' 2>/dev/null | wc -l; }
all_done() { (($(done_stages) == stages)); }
made_twice() { made | sort | uniq -d; }
made_once() { [[ -z $(made_twice) ]] || { made_twice; return 1; }; (($(made | wc -l) == stages)); }

# ---- the queue ----
# Every job that the controller ever took, by its own log; an array is one.
taken_jobs() { cat "$cluster/slurmctld.log" | grep -c _slurm_rpc_submit_batch_job; }
queued() { squeue --noheader --array --format='%j|%i|%T' | grep "^$name\."; }
