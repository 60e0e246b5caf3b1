"""`python tools/auto_label.py --input DIR …` is `lora-scripts label DIR …`."""

import sys

from lora_scripts.cli import main

main(["label", *(word.removeprefix("--input=") for word in sys.argv[1:] if word != "--input")])
