"""
All pages of a farm: each module of pages lists its own.
"""

from collections.abc import Sequence

from . import (
    atom,
    badges,
    pages_about,
    pages_actions,
    pages_artifacts,
    pages_build,
    pages_builder,
    pages_changes,
    pages_farm,
    pages_force,
    pages_grants,
    pages_log,
    pages_metrics,
    pages_packages,
    pages_queue,
    pages_repositories,
    pages_session,
    pages_slaves,
    pages_waterfall,
)
from .api import routes as api
from .view import Route

ROUTES: Sequence[Route] = (
    *pages_about.ROUTES,
    *pages_actions.ROUTES,
    *pages_artifacts.ROUTES,
    *pages_build.ROUTES,
    *pages_builder.ROUTES,
    *pages_changes.ROUTES,
    *pages_farm.ROUTES,
    *pages_force.ROUTES,
    *pages_grants.ROUTES,
    *pages_log.ROUTES,
    *pages_metrics.ROUTES,
    *pages_packages.ROUTES,
    *pages_queue.ROUTES,
    *pages_repositories.ROUTES,
    *pages_session.ROUTES,
    *pages_slaves.ROUTES,
    *pages_waterfall.ROUTES,
    *atom.ROUTES,
    *badges.ROUTES,
    *api.ROUTES,
)
