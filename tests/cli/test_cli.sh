#!/usr/bin/env bash
# Runs the cases of every *.test file beside it; README.md has their format.
cd "$(dirname "$0")/../.." && . tests/tap.sh
root=$PWD
program=$(realpath "$AUGMINT")
mkdir "$scratch/bin"
ln -s "$program" "$scratch/bin/augmint"
export PATH=$scratch/bin:$PATH

run_case() {  # the variables of one case are set by the reader below
  local dir=$scratch/case output status line
  rm -rf "$dir"
  mkdir -p "$dir/data"
  cp "$root/tests/cli/base.yaml" "$dir"
  ln -s "$root/data/manifests" "$dir/data/manifests"
  cd "$dir" || return 1
  for line in "${with[@]}"; do bash -c "$line" || { echo "preparation failed: $line"; return 1; }; done
  output=$(timeout 120 bash -c "$run" 2>&1)
  status=$?
  echo "\$ $run"
  echo "$output"
  [[ $status == "$exit" ]] || { echo "status is $status, expected $exit"; return 1; }
  holds() { grep -qF -- "$1" <<<"$output"; }
  for line in "${has[@]}"; do holds "$line" || { echo "missing: $line"; return 1; }; done
  for line in "${not[@]}"; do ! holds "$line" || { echo "unwanted: $line"; return 1; }; done
  for line in "${file[@]}"; do [[ -e $line ]] || { echo "no file $line"; return 1; }; done
  for line in "${none[@]}"; do [[ ! -e $line ]] || { echo "there is a file $line"; return 1; }; done
}

end_case() {
  [[ -z $name ]] || check "$name" run_case
  cd "$root" || exit 1
  name='' run='' exit=0 with=() has=() not=() file=() none=()
}

for list in tests/cli/*.test; do
  end_case
  while read -r key value; do
    case $key in
      '' | '#'*) ;;
      name) end_case; name=$value ;;
      run | exit) printf -v "$key" %s "$value" ;;
      with | has | not | file | none) eval "$key+=(\"\$value\")" ;;
      *) check "$list: unknown key $key" false ;;
    esac
  done <"$list"
  end_case
done
finish
