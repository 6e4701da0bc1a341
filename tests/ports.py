"""Ports of the loopback interface."""

import random
import socket


def free_port(host: str = "127.0.0.1") -> int:
    """A port nothing listens on, below the ephemeral range: no client's end can take it while a server restarts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in random.sample(range(20000, 32000), 200):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no free port on {host}")
