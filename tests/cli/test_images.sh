#!/usr/bin/env bash
# The commands on one's own images, on what a tiny experiment leaves: pools, weights, results.
source tests/cli/lib.sh

check "a tiny run" 0 '^done: ' "$AUGMINT" run "$root/experiments/quickstart.yaml" --tiny --results results --manifests "$manifests"
pool=$(dirname "$(find -L results/quickstart-tiny/pools -name '*.h5' | sort | head -n 1)")
generator=$(find results/store -name generator.safetensors | sort | head -n 1)
classifier=$(find results/store -name model.safetensors | sort | head -n 1)

check "export" 0 'wrote [0-9]+ images' "$AUGMINT" export "$pool" --out images
check "an existing folder is refused" 1 'is not empty' "$AUGMINT" export "$pool" --out images
check "or set aside" 0 'wrote' "$AUGMINT" export "$pool" --out images --force
check "the old one is still there" 0 '' diff -r images images.old
check "a folder without shards" 1 'no shards' "$AUGMINT" export images --out other
check "a kind that is not there" 2 'imagefolder' "$AUGMINT" export "$pool" --out other --to tar
check "nothing was left" 0 '' test ! -e other

check "sample" 0 'wrote 6 images' "$AUGMINT" sample --weights "$generator" --count 6 --seed 2 --out six --grid grid.png
check "more samples" 0 'wrote 9 images' "$AUGMINT" sample --weights "$generator" --count 9 --seed 2 --block 4 --out nine
"$AUGMINT" export six --out six-png >/dev/null && "$AUGMINT" export nine --out nine-png >/dev/null
rm -f nine-png/unlabelled/[678].png
check "are the same first" 0 '' diff -r six-png nine-png
check "a classifier does not sample" 2 'is a classifier' "$AUGMINT" sample --weights "$classifier" --count 1 --out x
check "weights of another width" 1 'has shape' "$AUGMINT" sample --weights "$generator" --width 24 --count 1 --out x

check "predict" 0 'wrote [0-9]+ x 10 logits' "$AUGMINT" predict --weights "$classifier" --images images --preprocess half --out one.h5
check "predict again" 0 'wrote' "$AUGMINT" predict --weights "$classifier" --images images --preprocess half --out two.h5
check "gives the same bytes" 0 '' cmp one.h5 two.h5
check "unknown preprocessing" 2 'imagenet' "$AUGMINT" predict --weights "$classifier" --images images --preprocess no --out x.h5
check "unknown model" 2 'did you mean' "$AUGMINT" predict --model resnet81 --weights "$classifier" --images images --out x.h5
check "another model's weights" 1 'has shape' "$AUGMINT" predict --model resnet50 --weights "$classifier" --images images --out x.h5

cp -r images broken
first=$(find broken -name '*.png' | sort | head -n 1)
head -c 100 "$first" >cut && mv cut "$first"
check "a truncated image" 1 'broken/.*truncated' "$AUGMINT" predict --weights "$classifier" --images broken --out x.h5
echo "no image" >"$first"
check "text named .png" 1 'broken/.*not a JPEG or PNG' "$AUGMINT" predict --weights "$classifier" --images broken --out x.h5
: >"$first"
check "an empty image" 1 'broken/.*empty' "$AUGMINT" predict --weights "$classifier" --images broken --out x.h5
check "no image at all" 1 'holds no image' "$AUGMINT" predict --weights "$classifier" --images results/store --out x.h5
check "nothing was written" 0 '' test ! -e x.h5

echo '[horizontal_flip, {rotation: {degrees: 15}}]' >policy.yaml
check "augment" 0 'wrote [0-9]+ images and contact-sheet.png' "$AUGMINT" augment --policy policy.yaml --images images --copies 2 --out seen
check "augment again" 0 'wrote' "$AUGMINT" augment --policy policy.yaml --images images --copies 2 --out again
check "gives the same images" 0 '' diff -r seen again
echo 'augment: [{rotation: {degres: 15}}]' >policy.yaml
check "a mistyped setting" 2 'policy.yaml:1:.*did you mean `degrees`' "$AUGMINT" augment --policy policy.yaml --images images --out x
echo '[]' >policy.yaml
check "a corrupt image stops augment" 1 'broken/' "$AUGMINT" augment --policy policy.yaml --images broken --out x
check "and leaves nothing" 0 '' test ! -e x

echo '{layout: class_folders}' >mine.yaml
check "data import" 0 'mine is in sets/mine' "$AUGMINT" data import mine.yaml --from images --data sets
check "data import again" 1 'is not empty' "$AUGMINT" data import mine.yaml --from images --data sets
check "data import of a broken set" 1 'images cannot be read' "$AUGMINT" data import mine.yaml --from broken --data other
check "leaves nothing" 0 '' test ! -e other/mine
check "data check" 0 'distinct' "$AUGMINT" data check mine.yaml --data sets
cp "$(find sets -name '*.png' | sort | head -n 1)" sets/mine/"$(ls sets/mine | tail -n 1)"/copy.png
check "data check finds a twin" 0 'same bytes: .*copy.png|copy.png.*same bytes|repeat one of another class' "$AUGMINT" data check mine.yaml --data sets
check "data show" 0 'wrote mine.png' "$AUGMINT" data show mine.yaml --data sets --per-class 3
check "data show of drawn signs" 0 'stop' "$AUGMINT" data show signs --manifests "$manifests" --split test --out signs.png
check "an unknown data set" 2 'did you mean "signs"' "$AUGMINT" data show sings --manifests "$manifests"
check "an unknown verb" 2 'import, check or show' "$AUGMINT" data chek signs --manifests "$manifests"

check "report from the folder alone" 0 'TINY RUN' "$AUGMINT" report results/quickstart-tiny
check "report from the experiment" 0 'TINY RUN' "$AUGMINT" report "$root/experiments/quickstart.yaml" --tiny --results results --manifests "$manifests"
check "the columns of table.csv" 0 '^arm,model,split,metric,unit,n_seeds,ours_mean,ours_sd,published,difference,verdict,' head -n 1 results/quickstart-tiny/table.csv
check "a report of nothing" 1 'results.h5' "$AUGMINT" report sets
finish
