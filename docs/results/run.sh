#!/usr/bin/env bash
# The proof: trains and measures every run of docs/RESULTS.md. Stop it at any time; the same command
# goes on where it ended.
#
#   docs/results/run.sh cifar10 DATA.zip OUT_FOLDER            # or tinyimagenet10
#
#   TANDEM=target/release/tandem   the program
#   SEEDS="0"                      e.g. "0 1 2"
#   STEPS=600   VAE_STEPS=600      steps of joint and second-stage runs, of the tokenizer alone; vanilla-long
#                                  takes three times as many, vae-long twice as many (what the autoencoder of
#                                  repa-e-from-vae has seen)
#   JUDGE=tandem-judge             or a file: lpips_vgg16.safetensors
#   NUM=1000                       samples for each measurement
#   ONLY="vae repa-e ..."          only these runs; calls with other runs or seeds may go on beside each other
#   DEVICE=auto
set -euo pipefail
SET=$1 DATA=$2 OUT=$3
HERE=$(cd "$(dirname "$0")" && pwd)
TANDEM=${TANDEM:-target/release/tandem}
SEEDS=${SEEDS:-0} STEPS=${STEPS:-600} VAE_STEPS=${VAE_STEPS:-600}
JUDGE=${JUDGE:-tandem-judge} NUM=${NUM:-1000}
LONG=$((3 * STEPS))
ALL="vae repa-e vanilla repa naive repa-e-from-vae repa-on-e2e vanilla-on-e2e vanilla-long"
ALL="$ALL vae-long vanilla-on-vae-long repa-e-settled"
ONLY=${ONLY:-$ALL}
DEVICE=${DEVICE:-auto}
mkdir -p "$OUT"

# train NAME SEED ARGUMENTS…: begins the run, or goes on with it.
train() {
  local run=$OUT/$1-seed$2 seed=$2
  shift 2
  if [ -e "$run/config.toml" ]; then
    "$TANDEM" train --resume "$run" --device "$DEVICE"
  else
    "$TANDEM" train --preset "$HERE/$SET.toml" --seed "$seed" --out "$run" --device "$DEVICE" "$@"
  fi
}

# settle JOINT RUN: the last third of a joint run again, with an autoencoder that hardly moves.
settle() {
  if [ ! -e "$2/config.toml" ]; then
    local begun=$OUT/begun
    rm -rf "$begun" && cp -r "$1" "$begun"
    rm -f "$begun/run.lock" "$begun/evaluations.jsonl" "$begun/eval.json"
    for checkpoint in "$begun"/checkpoints/step-*; do
      [ $((10#${checkpoint##*-})) -le $((2 * STEPS / 3)) ] || rm -r "$checkpoint"
    done
    sed 's/^vae_lr = .*/vae_lr = 0.000025/' "$1/config.toml" > "$begun/config.toml"
    mv "$begun" "$2"
  fi
  "$TANDEM" train --resume "$2" --device "$DEVICE"
}

# measure NAME SEED: every kept checkpoint that has no figures yet; without guidance, as the paper's tables.
measure() {
  local run=$OUT/$1-seed$2
  for checkpoint in "$run"/checkpoints/step-*; do
    local step=$((10#${checkpoint##*-}))
    grep -q "^{\"step\":$step,.*$(basename "$JUDGE" .safetensors | sed 's/_/-/')" "$run/evaluations.jsonl" 2>/dev/null && continue
    "$TANDEM" eval "$run" --step "$step" --num "$NUM" --num-reconstructions 1000 --features "$JUDGE" \
      --cfg 1 --steps 25 --seed 0 --device "$DEVICE" --json >> "$run/eval.json"
  done
}

# cache NAME SEED: the training pictures encoded by that run's autoencoder.
cache() {
  "$TANDEM" cache "$OUT/$1-seed$2" --data "$DATA" --out "$OUT/latents-$1-seed$2" --device "$DEVICE"
}

wanted() { [[ " $ONLY " == *" $1 "* ]]; }

for seed in $SEEDS; do
  vae=$OUT/vae-seed$seed e2e=$OUT/repa-e-seed$seed
  if wanted vae; then train vae "$seed" --data "$DATA" --method vae --steps "$VAE_STEPS"; fi
  if wanted repa-e; then train repa-e "$seed" --data "$DATA" --method repa-e --steps "$STEPS"; fi
  if wanted repa-e-settled; then settle "$e2e" "$OUT/repa-e-settled-seed$seed"; fi
  if wanted naive; then train naive "$seed" --data "$DATA" --method naive --steps "$STEPS"; fi
  if wanted repa-e-from-vae; then
    train repa-e-from-vae "$seed" --data "$DATA" --method repa-e --vae "$vae" --steps "$STEPS"
  fi
  if wanted vanilla || wanted repa || wanted vanilla-long; then cache vae "$seed"; fi
  for method in vanilla repa; do
    if wanted $method; then
      train $method "$seed" --data "$OUT/latents-vae-seed$seed" --method $method --vae "$vae" --steps "$STEPS"
    fi
  done
  if wanted vanilla-long; then
    train vanilla-long "$seed" --data "$OUT/latents-vae-seed$seed" --method vanilla --vae "$vae" --steps "$LONG" \
      --set train.keep_every="$STEPS" --set train.checkpoint_every="$STEPS"
  fi
  if wanted vae-long; then train vae-long "$seed" --data "$DATA" --method vae --steps $((2 * VAE_STEPS)); fi
  if wanted vanilla-on-vae-long; then
    cache vae-long "$seed"
    train vanilla-on-vae-long "$seed" --data "$OUT/latents-vae-long-seed$seed" --method vanilla \
      --vae "$OUT/vae-long-seed$seed" --steps "$STEPS"
  fi
  if wanted vanilla-on-e2e || wanted repa-on-e2e; then cache repa-e "$seed"; fi
  for method in vanilla repa; do
    if wanted $method-on-e2e; then
      train $method-on-e2e "$seed" --data "$OUT/latents-repa-e-seed$seed" --method $method --vae "$e2e" --steps "$STEPS"
    fi
  done
  runs=()
  for name in $ALL; do
    run=$OUT/$name-seed$seed
    { [[ $name != vae && $name != vae-long ]] && wanted "$name"; } || continue
    measure "$name" "$seed"
    runs+=("$run")
  done
  [ ${#runs[@]} = 0 ] || "$TANDEM" compare "${runs[@]}" --out "$OUT/comparison-seed$seed.html"
done
