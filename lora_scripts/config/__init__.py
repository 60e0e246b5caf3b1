"""The config: one flat YAML file to a checked, frozen object."""

from lora_scripts.config.load import Loaded, dump_config, load_config
from lora_scripts.config.schema import Config

__all__ = ["Config", "Loaded", "dump_config", "load_config"]
