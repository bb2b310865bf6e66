"""
Extensions of the master by higher packages, for all composition roots: the tap, and the process that tries a
master.cfg.
"""

from collections.abc import Iterable

from .master.config.keys import OWN_KEYS, AnyKey
from .master.farm import Farm
from .model.extension import Extension
from .model.registry import Registry
from .packages.control.package_jobs import PackageJobs
from .packages.service.target_repositories import TargetRepositories
from .packages.signing.signing_service import SigningService
from .packages.targets.configured_targets import TARGETS


def configuration_keys() -> Registry[AnyKey]:
    """
    The keys that ``c`` may have: the master's own, and those that other packages add.
    """
    return Registry("key of c", [*OWN_KEYS.values(), TARGETS])


def services(farm: Farm) -> Iterable[Extension]:
    """
    The services that other packages add to *farm*.
    """
    repositories = TargetRepositories(farm)
    signing = SigningService(
        farm,
        jobs=lambda: jobs.service,
        unsigned_of=repositories.of,
        snapshots_of=repositories.repository,
    )
    jobs = PackageJobs(farm, signing.repository_of)
    return [repositories, jobs, signing]
