"""``python -m lora_scripts VERB`` is ``lora-scripts VERB``."""

from lora_scripts.cli import main

main()
