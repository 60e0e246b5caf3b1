"""vLLM servers behind the gateway."""
