"""What a run came to, and the papers that it leaves: provenance, adapter card, proof."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_scripts.adapters.provenance import provenance
from lora_scripts.assemble.kinds import AnyInputs
from lora_scripts.config import Config
from lora_scripts.errors import ProofError, problem
from lora_scripts.evaluate.prove import Proof, failed_checks, proof_of
from lora_scripts.messages import text
from lora_scripts.training.cards import measured_line
from lora_scripts.training.checkpoint import sha256_of
from lora_scripts.training.log import peak_memory_bytes
from lora_scripts.training.plan import Plan
from lora_scripts.training.room import peak_above
from lora_scripts.training.run_dir import PROOF, write_json
from lora_scripts.training.state import RunState


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: its folder, eval.json's content, proof.json's content, and lines for the user."""

    run_dir: Path
    evaluation: dict[str, Any]
    proof: dict[str, Any]
    lines: list[str]


def close(
    config: Config,
    inputs: AnyInputs,
    plan: Plan,
    held: int,
    state: RunState,
    run_dir: Path,
    proven: Proof,
    *,
    weights: str,
    first_loss: float | None,
    card: Callable[[Mapping[str, Any]], str],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write provenance.json, the card and, last of all, proof.json; its content.

    ``weights`` is the adapter's file, ``held`` what the process held before the base was loaded.

    Raises:
        ProofError: A check failed.
    """
    for name, reason in proven.left_out.items():
        say(text("run.proof_left_out", name=name, reason=reason))
    took, predicted = peak_above(held, inputs.device), plan.predicted_peak_bytes
    say(measured_line(predicted, took))
    record = provenance(
        name=run_dir.name,
        base={"path": config.base_model, "fingerprint": inputs.fingerprints["base"]},
        fingerprints=inputs.fingerprints,
        weights_sha256=sha256_of(run_dir / weights),
        config=config.model_dump(mode="json"),
        plan=plan.to_json(),
        result={
            "base validation loss": first_loss,
            "validation loss": state.best_loss,
            "steps taken": state.step,
            "step of this adapter": state.best_step or state.step,
            "peak memory bytes": peak_memory_bytes(),
            "predicted bytes beside the libraries": predicted,
            "measured bytes beside the libraries": took,
        },
    )
    proof = dict(proof_of(proven))
    write_json(run_dir / "provenance.json", record)
    (run_dir / "README.md").write_text(card(record), encoding="utf-8")
    write_json(run_dir / PROOF, proof)
    if failed := failed_checks(proven):
        names = ", ".join(check.where for check in failed)
        raise ProofError([problem("run.not_proven", str(run_dir / PROOF), failed=names), *failed])
    return proof


def proven_line(proof: Mapping[str, Any]) -> str:
    """How many checks passed, and how many were left out."""
    left_out = len(proof["left_out"])
    key = "run.proven_but" if left_out else "run.proven"
    return text(key, count=len(proof["checks"]), left_out=left_out)
