#!/usr/bin/env bash
# What only a GPU can show, in some minutes: `bash benches/gpu.sh`. The kernels of sites beside
# those of the CPU (spikes equal; gradients to 1e-5, in bf16 to 2e-2), then images a second of
# ResNet-18 and ResNet-19 at T = 1, 2 and 4 beside their convolutions alone and beside SpikingJelly,
# into `train-gpu.md` of docs/results/peers.
#
# It needs a libtorch for CUDA (LIBTORCH_USE_PYTORCH=1, or LIBTORCH). SNN_CORE_TESTS and
# SNN_TRAIN_STEP name programs that were built before: the tests of snn-core, and train-step.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

test=a_gpu_computes_what_the_cpu_does
if [[ -n ${SNN_CORE_TESTS:-} ]]; then
    "$SNN_CORE_TESTS" --ignored "$test"
else
    cargo test --workspace -- --ignored "$test"
fi
cargo xtask bench-peers train --device cuda:0
