"""One base model and its adapters, answering over HTTP."""
