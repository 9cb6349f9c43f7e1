"""Secrets: where they are registered, how they are recognised, and how they are masked.

Whatever reads a secret registers its value, and whatever writes masks its texts: registered values
in any escaped form, and in addresses also by position (passwords, tokens, secret parameters).
"""

from ml_experiment_runner.project.secrets.addresses import (
    MASK,
    mask_addresses,
    secrets_of_address,
    without_logins,
)
from ml_experiment_runner.project.secrets.files import mask_bytes, mask_file, mask_patch
from ml_experiment_runner.project.secrets.names import is_secret_name
from ml_experiment_runner.project.secrets.registry import (
    PRIVATE,
    SHORTEST,
    Secrets,
    clear,
    mask,
    mask_keys,
    mask_name,
    mask_within,
    register,
    register_addresses,
    register_environment,
    watch_resolver,
)

__all__ = [
    "MASK", "PRIVATE", "SHORTEST", "Secrets", "clear", "is_secret_name", "mask", "mask_addresses",
    "mask_bytes", "mask_file", "mask_keys", "mask_name", "mask_patch", "mask_within", "register",
    "register_addresses", "register_environment", "secrets_of_address", "watch_resolver",
    "without_logins",
]  # fmt: skip
