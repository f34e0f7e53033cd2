#!/bin/sh
# Newton's iteration for a square root: train.sh NUMBER START STEPS. One line of metrics.jsonl a step.
set -eu
out="${MRSWEEP_RUN_DIR:-.}/metrics.jsonl"
awk -v number="$1" -v guess="$2" -v steps="$3" 'BEGIN {
    for (step = 1; step <= steps; step++) {
        guess = (guess + number / guess) / 2
        error = guess - sqrt(number)
        printf "{\"step\": %d, \"error\": %.12g}\n", step, error < 0 ? -error : error
    }
}' > "$out"
