"""Runs on several ranks as users start them: by torchrun, on one machine and as two nodes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from calling import digest, metrics

from lora_scripts.training.checkpoint import fault_of, newest_whole

pytestmark = pytest.mark.slow
MakeConfig = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[2]
PORTS = iter(range(29600 + os.getpid() % 300, 30600))


def launch(ranks: int, config: Path, *words: str, nodes: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """torchrun with ``ranks`` processes of train.py."""
    where = [*nodes] if nodes else ["--master-port", str(next(PORTS))]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), *where]
    return subprocess.Popen(
        [*command, str(ROOT / "train.py"), "--config", str(config), *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "LORA_SCRIPTS_LANG": "en"},
    )  # fmt: skip


def said(running: subprocess.Popen[str]) -> str:
    """What a launcher and its ranks said, within five minutes."""
    return running.communicate(timeout=300)[0]


def done(ranks: int, config: Path, *words: str) -> str:
    """A launch that comes to its end."""
    running = launch(ranks, config, *words)
    told = said(running)
    assert running.returncode == 0, told[-3000:]
    return told


def losses(run_dir: str) -> list[float]:
    return [line[key] for line in metrics(Path(run_dir)) for key in ("loss", "eval_loss") if key in line]


def ranks_of(launcher: int) -> list[int]:
    """Process ids of the ranks, the first one first."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    by_rank = {}
    for child in children:
        pairs = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        rank = next((p.partition(b"=")[2] for p in pairs if p.startswith(b"RANK=")), None)
        if rank:
            by_rank[int(rank)] = int(child)
    return [by_rank[rank] for rank in sorted(by_rank)]


def until_checkpoint(running: subprocess.Popen[str], run_dir: str) -> None:
    for _ in range(1200):
        if newest_whole(Path(run_dir))[0] or running.poll() is not None:
            return
        time.sleep(0.1)


def test_one_two_and_three_ranks_and_shards_take_the_same_steps(config: MakeConfig) -> None:
    file = config(lora_dropout=0)
    told = {n: done(n, file, f"output_dir=r{n}") for n in (1, 2, 3)}
    done(2, file, "output_dir=sharded", "shard=true")
    for other in ("r2", "r3", "sharded"):
        assert losses(other) == pytest.approx(losses("r1"), rel=1e-5)
        assert (Path(other) / "proof.json").exists()
    assert "2 ranks share every step" in told[2] and "ranks share" not in told[1]
    assert told[2].count("Data report:") == told[3].count("proven:") == 1


def test_what_two_ranks_saved_goes_on_on_one_and_on_three(config: MakeConfig) -> None:
    file = config(lora_dropout=0)
    done(2, file, "output_dir=whole")
    for n in (1, 2, 3):
        told = done(n, file, f"output_dir=cut{n}", "resume_from_checkpoint=whole/checkpoint-4")
        assert "checkpoint-4" in told
        assert losses(f"cut{n}")[-5:] == pytest.approx(losses("whole")[-5:], rel=1e-5)
    assert digest(Path("cut2/adapter_model.safetensors")) == digest(Path("whole/adapter_model.safetensors"))


def test_two_nodes_meet_by_the_address_of_the_first(config: MakeConfig) -> None:
    file, port = config(lora_dropout=0), str(next(PORTS))
    nodes = [
        launch(1, file, nodes=("--nnodes", "2", "--node-rank", str(n), "--master-addr", "127.0.0.1",
                               "--master-port", port))
        for n in (0, 1)
    ]  # fmt: skip
    first, second = (said(node) for node in nodes)
    assert [node.returncode for node in nodes] == [0, 0]
    assert "proven:" in first and "proven:" not in second
    done(1, file, "output_dir=alone")
    assert losses("out") == pytest.approx(losses("alone"), rel=1e-5)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_ends_the_run_and_it_can_go_on(victim: int, config: MakeConfig) -> None:
    file = config(max_steps=4000, eval_ratio=0, lora_dropout=0, resume_from_checkpoint="auto")
    running = launch(2, file)
    until_checkpoint(running, "out")
    os.kill(ranks_of(running.pid)[victim], signal.SIGKILL)
    told = said(running)
    assert running.returncode != 0
    newest, skipped = newest_whole(Path("out"))
    assert newest and not skipped and not fault_of(newest)
    if victim == 1:
        assert "a rank is gone" in told and "resume_from_checkpoint=auto" in told
        assert "fix:" in told
    step = int(newest.name.rpartition("-")[2])
    assert f"checkpoint-{step}" in done(1, file, f"max_steps={step + 2}")


def test_a_request_to_stop_reaches_all_ranks(config: MakeConfig) -> None:
    file = config(max_steps=4000, eval_ratio=0, resume_from_checkpoint="auto")
    running = launch(2, file)
    until_checkpoint(running, "out")
    running.send_signal(signal.SIGTERM)
    told = said(running)
    stopped = re.search(r"stopped at step (\d+); a checkpoint was written", told)
    assert stopped, told[-2000:]
    assert told.count("stopped at step") == 1
    assert not fault_of(Path(f"out/checkpoint-{stopped[1]}"))


@pytest.mark.parametrize("changed", [{"base_model": "nosuch"}, {"lora_rnak": 3}])
def test_what_is_refused_is_told_once(changed: dict[str, Any], config: MakeConfig) -> None:
    running = launch(2, config(**changed))
    told = said(running)
    assert told.count("fix:") == 1
    assert re.search(r"rank +: 0 .*\n +exitcode +: 2 ", told)
    assert not Path("out").exists()


def test_the_job_of_the_documentation_is_one() -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    (manifest,) = re.findall(r"^```yml\n(apiVersion.*?)^```$", page, re.MULTILINE | re.DOTALL)
    service, job = yaml.safe_load_all(manifest)
    spec = job["spec"]
    pod = spec["template"]["spec"]
    command = " ".join(pod["containers"][0]["command"])
    assert (service["kind"], job["kind"], spec["completionMode"]) == ("Service", "Job", "Indexed")
    assert service["spec"]["clusterIP"] == "None" and pod["subdomain"] == service["metadata"]["name"]
    assert f"--nnodes={spec['completions']}" in command and spec["completions"] == spec["parallelism"]
    assert f"{job['metadata']['name']}-0.{pod['subdomain']}" in command
    assert pod["restartPolicy"] == "Never"
