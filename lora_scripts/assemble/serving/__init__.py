"""What talks: the server from its config, chat, the router, an engine elsewhere."""
