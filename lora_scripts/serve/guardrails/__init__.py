"""Guardrails: rules on what goes into a model and what comes out of it."""

from lora_scripts.serve.guardrails.answer import OutputGuard
from lora_scripts.serve.guardrails.live import Guardrails, InputVerdict
from lora_scripts.serve.guardrails.passage import Hit
from lora_scripts.serve.guardrails.rules import Rule, RuleSet

__all__ = ["Guardrails", "Hit", "InputVerdict", "OutputGuard", "Rule", "RuleSet"]
