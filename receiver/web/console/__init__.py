"""The console: pages for the person on call, and forms that order what the API orders, by the same functions."""

from receiver.web.console.blueprint import blueprint, shown
from receiver.web.console.pages import PREFIX

__all__ = ["PREFIX", "blueprint", "shown"]
