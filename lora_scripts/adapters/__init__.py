"""Adapters: put into a model, written to files, loaded back, traced to what they came from."""

import logging

# peft imports bitsandbytes wherever it is installed, and that warns of a kernel which nothing here calls
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
