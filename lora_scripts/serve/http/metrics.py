"""What /metrics shows, in Prometheus' text format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from lora_scripts.serve.answering import Answers, Service

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class Metrics:
    """Counts of one server. Models are named only where they are known, so that clients cannot make up labels."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        more: dict[str, Any] = {"registry": self._registry}
        self._requests = Counter("lora_requests", "Requests by model and status.", ["model", "status"], **more)
        self._tokens = Counter("lora_tokens", "Tokens by model and kind.", ["model", "kind"], **more)
        self._first = Histogram("lora_first_token_seconds", "Until the first token.", buckets=_SECONDS, **more)
        self._whole = Histogram("lora_request_seconds", "Until the end of a request.", buckets=_SECONDS, **more)
        self._hits = Counter("lora_guardrail_hits", "Broken rules.", ["rule", "action", "where"], **more)
        self._gauges: dict[str, Gauge] = {}

    def request(self, model: str, status: int) -> None:
        """A request was answered with this status."""
        self._requests.labels(model, status).inc()

    def answers(self, answers: Answers, seconds: float) -> None:
        """A request's answers have ended."""
        model = answers.model
        self._tokens.labels(model, "prompt").inc(answers.prompt_tokens)
        self._tokens.labels(model, "completion").inc(answers.completion_tokens)
        self._whole.observe(seconds)
        if answers.first_token is not None:
            self._first.observe(answers.first_token - answers.began)
        for hit in answers.hits:
            self._hits.labels(hit.rule, hit.action, hit.where).inc(hit.count)

    def page(self, service: Service) -> bytes:
        """The page, with what engine and store hold now."""
        figures = {f"engine_{name}": value for name, value in service.engine.figures().items()}
        figures |= {
            "adapters": len(service.store.names()),
            "adapter_bytes_on_device": service.store.bytes_in("device"),
            "adapter_bytes_on_host": service.store.bytes_in("host"),
            "open_answers": service.admission.open,
        }
        for name, value in figures.items():
            if name not in self._gauges:
                self._gauges[name] = Gauge(f"lora_{name}", name.replace("_", " "), registry=self._registry)
            self._gauges[name].set(value)
        return generate_latest(self._registry)
