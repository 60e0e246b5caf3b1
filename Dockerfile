# The gateway: `lora-scripts serve` in front of vLLM servers, or the server itself on a machine without a card.
#
#   docker build -t lora-scripts-gateway .
#   docker run -p 8000:8000 -v "$PWD/serve.yaml:/config/serve.yaml:ro" -v "$PWD/models:/models:ro" \
#     -e LORA_SCRIPTS_API_KEY lora-scripts-gateway /config/serve.yaml
#
# serve.yaml must say `host: 0.0.0.0`, which needs an API key. The default index has torch with the libraries of cards,
# which the gateway does not use: `--build-arg PIP_EXTRA_INDEX_URL=…` of an index with torch's CPU build saves gigabytes.

FROM python:3.11-slim AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
ARG PIP_EXTRA_INDEX_URL=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# libraries first: a change of our code leaves this layer as it is
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/venv \
    && mkdir lora_scripts && touch lora_scripts/__init__.py \
    && /opt/venv/bin/python -m pip install --constraint constraints.txt .
COPY lora_scripts ./lora_scripts
RUN /opt/venv/bin/python -m pip install --no-deps --force-reinstall . \
    && /opt/venv/bin/python -m pip uninstall --yes pip

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin gateway
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30m --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
ENTRYPOINT ["lora-scripts", "serve"]
