#!/usr/bin/env bash
# What benchmarks write and print, at toy sizes: structure and sums, never a time.
source tests/cli/lib.sh

# holds NAME PYTHON: the expression about `d`, the JSON file FILE, is true.
holds() { check "$1" 0 '' python3 -c "import json, sys; d = json.load(open('$file')); sys.exit(0 if $2 else 1)"; }

file=all.json
check "a profile of a training step" 0 'convolution, data gradient' "$AUGMINT" bench resnet18-32 predict-1 sgd decode \
  --tiny --repeats 3 --threads 1 --profile --json $file
rows="{r['name']: r for r in d['rows']}"
holds "the file says what it is" "d['format'] == 'augmint-bench-1' and list($rows) == ['resnet18-32', 'predict-1', 'sgd', 'decode']"
holds "the machine has a fingerprint" "all(d['machine'][k] for k in ('cores', 'memory_gib', 'onednn', 'hdf5', 'mpi', 'blas', 'commit', 'build'))"
holds "every repeat is kept" "all(len(r['sec']) == len(r['cpu_sec']) == 3 and min(r['sec']) > 0 for r in d['rows'])"
holds "memory is counted" "all(r['peak_bytes'] >= r['idle_bytes'] > 1 << 20 for r in d['rows'])"
holds "rates are measured" "all(r['rates'][k] > 0 for r in d['rows'] for k in ('f32_flops', 'read_bytes', 'copy_bytes', 'update_bytes'))"
holds "families add up to dispatch, and that fits into the step" \
  "all(abs(sum(f['sec'] for f in p['families']) - p['dispatch_sec']) < 1e-6 and p['dispatch_sec'] <= p['sec'] + 1e-6
       for p in (r['profile'] for r in d['rows'][:3]))"
# ResNet-18, CIFAR stem, width 8, 32 px, batch 4: multiply-adds of its 20 convolutions, forward, twice for an image.
conv="4 * 2 * (32*32*8*3*9 + 4*32*32*8*8*9 + sum(4*h*h*c*c*9 - h*h*c*c*9//2 + h*h*c*c//2 for c, h in ((16, 16), (32, 8), (64, 4))))"
holds "operations are exact" "{f['name']: f for f in d['rows'][0]['profile']['families']}['convolution, forward']['flops'] == $conv"
holds "bytes of an update are exact" "d['rows'][2]['profile']['families'][0]['bytes'] == 5 * 4 * 5000 == round(1e9 * d['rows'][2]['items'])"
holds "what computes on no device has no profile" "'profile' not in d['rows'][3] and d['rows'][3]['floor_sec'] == 0"

file=again.json
check "the same work has the same check" 0 '' "$AUGMINT" bench resnet18-32 --tiny --repeats 1 --threads 1 --json $file
holds "bit for bit" "d['rows'][0]['check'] == json.load(open('all.json'))['rows'][0]['check']"

file=out/bench.json
check "ours alone, and what is not here is said" 0 'no PyTorch' python3 "$root/analysis/bench.py" --program "$AUGMINT" --out out \
  --alone --tiny --repeats 2 --threads 1 --rows resnet18-32,predict-1,decode,shard-read,shard-write,sgd
cp output table
check "a row without a peer says so" 0 'no peer' cat table
holds "its file has the rows" "[r['name'] for r in d['rows']] == ['resnet18-32', 'predict-1', 'decode', 'shard-read', 'shard-write', 'sgd']"
check "ours can be compared later" 0 'ratio' "$AUGMINT" bench sgd --tiny --repeats 1 --threads 1 --against out/ours.json
if command -v hyperfine >/dev/null; then
  check "commands over a thousand cells" 0 '1000 cells done' python3 "$root/analysis/bench.py" --program "$AUGMINT" --out out --rows status-1000
  holds "of which nothing, and everything, is done" "list(d['rows'][0]['times']) == ['augmint status, 1000 cells ' + w for w in ('missing', 'done')]"
else
  echo "ok $((++count)) - commands over a thousand cells # SKIP skipped: no hyperfine here (.ci/install bench)"
fi
check "an unknown row" 2 'there is no row resnet19' python3 "$root/analysis/bench.py" --rows resnet19

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
file=ranks.json
check "two ranks measure what needs them" 0 'MPI_Allreduce' mpirun -n 2 "$AUGMINT" bench --tiny --repeats 1 --threads 1 --json $file
holds "both rows" "[(r['name'], r['ranks']) for r in d['rows']] == [('resnet18-32-ranks', 2), ('allreduce', 2)]"
check "a row of one rank refuses several" 2 'measures one rank, here are 2' mpirun -n 2 "$AUGMINT" bench sgd --tiny
finish
