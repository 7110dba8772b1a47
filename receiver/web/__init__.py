"""The receiver's HTTP side: it knows HTTP and nothing else."""

from receiver.web.app import create_app

__all__ = ["create_app"]
