"""OpenAI's routes, and who may use them."""
