"""The jobs of a server, for programs on any system."""

from worker.client.client import Client
from worker.client.config import ClientConfig

__all__ = ["Client", "ClientConfig"]
