"""The configuration file and the environment become one frozen value, or a refusal that teaches.

Nothing else in the gateway reads the environment. `load` raises `SettingsError`, whose text names the place in the
file, what was expected and what to write instead; it never repeats a secret.
"""

from gateway.configuration.file import environment, find_file, load
from gateway.configuration.place import SettingsError

__all__ = ["SettingsError", "environment", "find_file", "load"]
