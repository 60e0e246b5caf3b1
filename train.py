"""`python train.py --config FILE [key=value …]` is `lora-scripts train`."""

import sys

from lora_scripts.cli import main

main(["train", *sys.argv[1:]])
