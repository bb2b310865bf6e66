"""
Extensions of the master by higher packages, for all composition roots: the tap, and the process that tries a
master.cfg.
"""

from .master.config.keys import OWN_KEYS, AnyKey
from .model.registry import Registry
from .packages.targets import TARGETS


def configuration_keys() -> Registry[AnyKey]:
    """
    The keys that ``c`` may have: the master's own, and those that other packages add.
    """
    return Registry("key of c", [*OWN_KEYS.values(), TARGETS])
