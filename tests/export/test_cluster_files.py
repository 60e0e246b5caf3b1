"""Files for a cluster: whole, safe by default, with commands that vLLM knows. No cluster was at hand to apply them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lora_scripts.assemble.serving.cluster import cluster_files
from lora_scripts.config.serving import load_serve_config
from lora_scripts.errors import UsageError

HERE = Path(__file__).resolve().parent
BASE = HERE.parents[1] / "models" / "tiny-zh"
FLAGS = set((HERE / "vllm_serve_flags.txt").read_text(encoding="utf-8").split())
"""What `vllm serve --help=all` of vLLM 0.32 lists."""


def config_of(**given: Any) -> Any:
    return load_serve_config(None, {"base_model": str(BASE), "engine": "vllm", **given}).config


@pytest.fixture
def written(tmp_path: Path) -> tuple[dict[tuple[str, str], Any], Any, list[str]]:
    config = config_of(
        adapters={"law": "./output/law_lora"}, stacks={"both": {"law": 0.5}}, adapter_memory_gib=3.0,
        api_keys={"app": {"key": "s3cret", "adapters": ("law",)}}, guardrails="./rules/house.yaml",
        audit_log="./audit.jsonl", kv_cache_gib=2.0, drain_seconds=40,
    )  # fmt: skip
    lines = cluster_files(config, tmp_path / "out")
    documents = list(yaml.safe_load_all((tmp_path / "out" / "kubernetes.yaml").read_text(encoding="utf-8")))
    ray = yaml.safe_load((tmp_path / "out" / "ray_serve.yaml").read_text(encoding="utf-8"))
    return {(d["kind"], d["metadata"]["name"]): d for d in documents}, ray, lines


def pod(manifest: Any) -> Any:
    return manifest["spec"]["template"]["spec"]


def test_every_flag_of_the_vllm_command_is_one_that_vllm_has(written: Any) -> None:
    (container,) = pod(written[0]["StatefulSet", "lora-vllm"])["containers"]
    flags = {word for word in container["args"] if word.startswith("--")}
    assert {"--enable-lora", "--max-lora-rank", "--port"} <= flags <= FLAGS
    assert container["command"] == ["vllm", "serve"] and container["args"][0] == "/models/tiny-zh"


def test_the_gateways_config_is_read_without_a_complaint_and_means_the_same(written: Any, tmp_path: Path) -> None:
    raw = written[0]["ConfigMap", "lora-gateway"]["data"]["serve.yaml"]
    (tmp_path / "serve.yaml").write_text(raw, encoding="utf-8")
    config = load_serve_config(tmp_path / "serve.yaml", {}).config
    assert (config.engine, config.host, config.port, config.drain_seconds) == ("vllm", "0.0.0.0", 8000, 40)
    assert config.device == "cuda"  # the servers have cards
    assert config.adapters == {"law": "/adapters/law"} and config.stacks == {"both": {"law": 0.5}}
    assert config.base_model == "/models/tiny-zh" and config.adapter_root == "/adapters"
    assert config.guardrails == "/rules/house.yaml" and config.audit_log == "/audit/audit.jsonl"


def test_each_address_is_a_pod_of_the_headless_service(written: Any) -> None:
    manifests, _, _ = written
    urls = yaml.safe_load(manifests["ConfigMap", "lora-gateway"]["data"]["serve.yaml"])["vllm"]
    workload, service = manifests["StatefulSet", "lora-vllm"], manifests["Service", "lora-vllm"]
    port = service["spec"]["ports"][0]["port"]
    assert urls == [f"http://lora-vllm-{i}.lora-vllm:{port}" for i in range(workload["spec"]["replicas"])]
    assert service["spec"]["clusterIP"] == "None" and workload["spec"]["serviceName"] == "lora-vllm"


def test_as_many_servers_as_the_config_names(tmp_path: Path) -> None:
    cluster_files(config_of(vllm=("http://a", "http://b", "http://c")), tmp_path)
    documents = list(yaml.safe_load_all((tmp_path / "kubernetes.yaml").read_text(encoding="utf-8")))
    assert [d["spec"]["replicas"] for d in documents if d["kind"] == "StatefulSet"] == [3]


def test_no_key_is_written_and_all_are_taken_from_the_secret(written: Any, tmp_path: Path) -> None:
    assert "s3cret" not in (tmp_path / "out" / "kubernetes.yaml").read_text(encoding="utf-8")
    wanted = {
        ("StatefulSet", "lora-vllm"): {"VLLM_API_KEY"},
        ("Deployment", "lora-gateway"): {"LORA_SCRIPTS_API_KEY", "LORA_SCRIPTS_ADMIN_KEY", "LORA_SCRIPTS_VLLM_KEY"},
    }
    for name, variables in wanted.items():
        (container,) = pod(written[0][name])["containers"]
        secrets = {e["name"]: e["valueFrom"]["secretKeyRef"]["name"] for e in container["env"] if "valueFrom" in e}
        assert secrets == dict.fromkeys(variables, "lora-keys")


@pytest.mark.parametrize("name", [("StatefulSet", "lora-vllm"), ("Deployment", "lora-gateway")])
def test_no_pod_has_more_rights_than_it_needs(written: Any, name: tuple[str, str]) -> None:
    spec = pod(written[0][name])
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert ":" in container["image"] and not container["image"].endswith(":latest")
        mounts = {m["name"]: m for m in container["volumeMounts"]}
        assert set(mounts) == {v["name"] for v in spec["volumes"]} and mounts["lora-models"]["readOnly"]
        assert mounts["lora-adapters"]["readOnly"] is (name[1] == "lora-vllm")


def test_claims_services_and_selectors_fit_together(written: Any) -> None:
    manifests, _, _ = written
    claims = {name for kind, name in manifests if kind == "PersistentVolumeClaim"}
    assert claims == {"lora-models", "lora-adapters", "lora-rules", "lora-audit"}
    for kind, name in (("StatefulSet", "lora-vllm"), ("Deployment", "lora-gateway")):
        workload = manifests[kind, name]
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert workload["spec"]["selector"]["matchLabels"] == labels == manifests["Service", name]["spec"]["selector"]
        used = {
            v["persistentVolumeClaim"]["claimName"] for v in pod(workload)["volumes"] if "persistentVolumeClaim" in v
        }
        assert used <= claims
    policy = manifests["NetworkPolicy", "lora-vllm"]["spec"]
    assert policy["podSelector"]["matchLabels"] == manifests["Service", "lora-vllm"]["spec"]["selector"]
    (ingress,) = policy["ingress"]
    allowed = ingress["from"][0]["podSelector"]["matchLabels"]
    assert allowed == manifests["Service", "lora-gateway"]["spec"]["selector"]


def test_probes_ask_for_paths_that_exist_and_the_end_leaves_time_to_drain(written: Any) -> None:
    spec = pod(written[0]["Deployment", "lora-gateway"])
    (gateway,) = spec["containers"]
    assert gateway["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert gateway["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert spec["terminationGracePeriodSeconds"] > 40
    assert gateway["resources"]["limits"]["memory"] == "5Gi"  # 3 for adapters
    (vllm,) = pod(written[0]["StatefulSet", "lora-vllm"])["containers"]
    assert vllm["readinessProbe"]["httpGet"]["path"] == "/health"
    assert vllm["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_ray_file_has_the_fields_of_ray_serve(written: Any) -> None:
    (application,) = written[1]["applications"]
    assert application["import_path"] == "ray.serve.llm:build_openai_app"
    (model,) = application["args"]["llm_configs"]
    assert model["model_loading_config"] == {"model_id": "tiny-zh", "model_source": "/models/tiny-zh"}
    assert set(model["lora_config"]) == {"dynamic_lora_loading_path", "max_num_adapters_per_replica"}
    assert model["lora_config"]["dynamic_lora_loading_path"].startswith("s3://")  # Ray takes no local folder
    assert {f"--{key.replace('_', '-')}" for key in model["engine_kwargs"]} <= FLAGS
    assert model["deployment_config"]["autoscaling_config"]["min_replicas"] == 2


def test_what_is_left_to_do_is_said(written: Any, tmp_path: Path) -> None:
    lines = "\n".join(written[2])
    for words in (
        "kv_cache_gib has no effect",
        "law in the volume lora-adapters",
        "lora-rules",
        "do not pass the gateway",
    ):
        assert words in lines
    head = (tmp_path / "out" / "kubernetes.yaml").read_text(encoding="utf-8").splitlines()[:3]
    assert all(line.startswith("# ") for line in head)


def test_files_that_are_there_are_not_written_over(written: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds kubernetes\.yaml, ray_serve\.yaml already"):
        cluster_files(config_of(), tmp_path / "out")
    with pytest.raises(UsageError, match="nf4"):
        cluster_files(config_of(quantization="nf4"), tmp_path / "new")
