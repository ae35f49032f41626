"""hopline for other agents: a Model Context Protocol server over stdio or HTTP on loopback."""
