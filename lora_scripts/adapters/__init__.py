"""Adapters: put into a model, written to files, loaded back, traced to what they came from."""
