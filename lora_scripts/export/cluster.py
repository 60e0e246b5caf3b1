"""Files that start the gateway and its vLLM servers on a cluster: Kubernetes, and Ray Serve for vLLM alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

VLLM_IMAGE = "vllm/vllm-openai:v0.32.0"
VLLM, GATEWAY, SECRET, PORT = "lora-vllm", "lora-gateway", "lora-keys", 8000
USER = 10001  # of both images; any but root
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the files are made from.

    ``serve`` is serve.yaml as the gateway of the cluster reads it, ``arguments`` those of ``vllm serve``,
    ``gateway_gib`` the memory of the gateway, ``more_volumes`` (claim → folder) what else it mounts.
    """

    base: str
    replicas: int
    serve: Mapping[str, Any]
    arguments: Sequence[str]
    gateway_image: str
    gateway_gib: float
    drain_seconds: int
    more_volumes: Mapping[str, str]


def server_urls(replicas: int) -> list[str]:
    """The addresses of the vLLM servers in the cluster: each has its own, since each holds its own adapters."""
    return [f"http://{VLLM}-{i}.{VLLM}:{PORT}" for i in range(replicas)]


def kubernetes(cluster: Cluster) -> str:
    """The manifests, as YAML documents."""
    claims = {"lora-models": "ReadOnlyMany", "lora-adapters": "ReadWriteMany"}
    claims |= dict.fromkeys(cluster.more_volumes, "ReadWriteOnce")
    manifests = [
        _manifest("v1", "ConfigMap", GATEWAY, data={"serve.yaml": _yaml(cluster.serve)}),
        *(_claim(name, mode) for name, mode in claims.items()),
        _manifest("v1", "Service", VLLM, spec={"clusterIP": "None", **_ports(VLLM, PORT)}),
        _vllm(cluster),
        _only_from_the_gateway(),
        _manifest("v1", "Service", GATEWAY, spec={"type": "ClusterIP", **_ports(GATEWAY, 80)}),
        _gateway(cluster),
    ]
    return str(yaml.dump_all(manifests, Dumper=_Readable, sort_keys=False, allow_unicode=True, width=120))


def ray_serve(cluster: Cluster, *, bucket: str, rank: int, at_once: int, in_memory: int) -> str:
    """A Ray Serve config of vLLM with the same base and the adapters below ``bucket``; the gateway is not in it."""
    model = {
        "model_loading_config": {"model_id": cluster.base, "model_source": f"/models/{cluster.base}"},
        "lora_config": {"dynamic_lora_loading_path": bucket, "max_num_adapters_per_replica": in_memory},
        "engine_kwargs": {
            "enable_lora": True, "max_lora_rank": rank, "max_loras": at_once, "max_cpu_loras": in_memory,
            "generation_config": "vllm",
        },
        "deployment_config": {
            "autoscaling_config": {"min_replicas": cluster.replicas, "max_replicas": 2 * cluster.replicas}
        },
    }  # fmt: skip
    application = {
        "name": "lora", "route_prefix": "/", "import_path": "ray.serve.llm:build_openai_app",
        "args": {"llm_configs": [model]},
    }  # fmt: skip
    return _yaml({"applications": [application]})


class _Readable(yaml.SafeDumper):
    """Writes texts of several lines as they are."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Readable.add_representer(str, _Readable.represent_str)


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))


def _manifest(version: str, kind: str, name: str, **rest: Any) -> Manifest:
    metadata = {"name": name, "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "lora-scripts"}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _claim(name: str, mode: str) -> Manifest:
    return _manifest(
        "v1", "PersistentVolumeClaim", name,
        spec={"accessModes": [mode], "resources": {"requests": {"storage": "50Gi"}}},
    )  # fmt: skip


def _selected(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name}


def _ports(name: str, port: int) -> Manifest:
    return {"selector": _selected(name), "ports": [{"name": "http", "port": port, "targetPort": "http"}]}


def _secret(variable: str, key: str) -> Manifest:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": key}}}


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": period, "failureThreshold": failures,
            "timeoutSeconds": 5}  # fmt: skip


def _container(name: str, image: str, **rest: Any) -> Manifest:
    security = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    ports = [{"name": "http", "containerPort": PORT}]
    return {"name": name, "image": image, **rest, "ports": ports, "securityContext": security}


def _pod(name: str, container: Manifest, volumes: Sequence[Manifest], *, grace: int) -> Manifest:
    """The part of a workload that makes its pods: no root, no service account, no system calls beyond the usual."""
    security = {
        "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    spec = {
        "automountServiceAccountToken": False, "securityContext": security, "terminationGracePeriodSeconds": grace,
        "containers": [container], "volumes": list(volumes),
    }  # fmt: skip
    return {
        "selector": {"matchLabels": _selected(name)},
        "template": {"metadata": {"labels": _selected(name)}, "spec": spec},
    }


def _volume(claim: str, *, read_only: bool = False) -> Manifest:
    return {"name": claim, "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}}


def _mount(name: str, path: str, *, read_only: bool = False) -> Manifest:
    return {"name": name, "mountPath": path, "readOnly": read_only}


def _vllm(cluster: Cluster) -> Manifest:
    """A StatefulSet, so that each server has an address: adapters are loaded at each of them."""
    environment = [
        _secret("VLLM_API_KEY", "vllm-key"),
        {"name": "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "value": "True"},
        # the user has no name and no home in the image
        *({"name": name, "value": "/cache"} for name in ("HOME", "XDG_CACHE_HOME", "VLLM_CACHE_ROOT")),
        {"name": "USER", "value": "vllm"},
        {"name": "HF_HUB_OFFLINE", "value": "1"},
        {"name": "VLLM_NO_USAGE_STATS", "value": "1"},
    ]
    container = _container(
        "vllm",
        VLLM_IMAGE,
        command=["vllm", "serve"],
        args=[*cluster.arguments, "--host", "0.0.0.0", "--port", str(PORT)],
        env=environment,
        resources={
            "requests": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"},
            "limits": {"memory": "32Gi", "nvidia.com/gpu": "1"},
        },
        startupProbe=_probe("/health", period=10, failures=180),
        readinessProbe=_probe("/health", period=5, failures=2),
        livenessProbe=_probe("/health", period=10, failures=6),
        volumeMounts=[
            _mount("lora-models", "/models", read_only=True),
            _mount("lora-adapters", "/adapters", read_only=True),
            _mount("cache", "/cache"),
            _mount("tmp", "/tmp"),
            _mount("shm", "/dev/shm"),
        ],
    )
    volumes = [
        _volume("lora-models", read_only=True),
        _volume("lora-adapters", read_only=True),
        {"name": "cache", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
    ]
    spec = {"serviceName": VLLM, "replicas": cluster.replicas, "podManagementPolicy": "Parallel"}
    return _manifest("apps/v1", "StatefulSet", VLLM, spec=spec | _pod(VLLM, container, volumes, grace=60))


def _only_from_the_gateway() -> Manifest:
    """Some of vLLM's routes ask for no key, so nothing else in the cluster may reach it."""
    allowed = {"from": [{"podSelector": {"matchLabels": _selected(GATEWAY)}}], "ports": [{"port": PORT}]}
    return _manifest(
        "networking.k8s.io/v1", "NetworkPolicy", VLLM,
        spec={"podSelector": {"matchLabels": _selected(VLLM)}, "policyTypes": ["Ingress"], "ingress": [allowed]},
    )  # fmt: skip


def _gateway(cluster: Cluster) -> Manifest:
    """One pod: limits of keys, the audit log and what is loaded are its own."""
    memory = f"{math.ceil(cluster.gateway_gib)}Gi"
    container = _container(
        "gateway",
        cluster.gateway_image,
        args=["/config/serve.yaml"],
        env=[
            _secret("LORA_SCRIPTS_API_KEY", "api-key"),
            _secret("LORA_SCRIPTS_ADMIN_KEY", "admin-key"),
            _secret("LORA_SCRIPTS_VLLM_KEY", "vllm-key"),
        ],
        resources={"requests": {"cpu": "1", "memory": memory}, "limits": {"memory": memory}},
        startupProbe=_probe("/health/live", period=10, failures=180),
        readinessProbe=_probe("/health/ready", period=5, failures=2),
        livenessProbe=_probe("/health/live", period=10, failures=3),
        volumeMounts=[
            _mount("config", "/config", read_only=True),
            _mount("lora-models", "/models", read_only=True),
            _mount("lora-adapters", "/adapters"),
            *(_mount(claim, path) for claim, path in cluster.more_volumes.items()),
            _mount("tmp", "/tmp"),
        ],
    )
    volumes = [
        {"name": "config", "configMap": {"name": GATEWAY}},
        _volume("lora-models", read_only=True),
        _volume("lora-adapters"),
        *(_volume(claim) for claim in cluster.more_volumes),
        {"name": "tmp", "emptyDir": {}},
    ]
    spec: Manifest = {"replicas": 1, "strategy": {"type": "Recreate"}}
    pod = _pod(GATEWAY, container, volumes, grace=cluster.drain_seconds + 15)
    return _manifest("apps/v1", "Deployment", GATEWAY, spec=spec | pod)
