"""
All pages of a farm: each module of pages lists its own.
"""

from collections.abc import Sequence

from .api import routes as api
from .pages import (
    about,
    actions,
    artifacts,
    atom,
    badges,
    build,
    builder,
    changes,
    farm,
    force,
    grants,
    log,
    metrics,
    packages,
    parents,
    queue,
    repositories,
    session,
    slaves,
    waterfall,
)
from .view import Route

ROUTES: Sequence[Route] = (
    *about.ROUTES,
    *actions.ROUTES,
    *artifacts.ROUTES,
    *build.ROUTES,
    *builder.ROUTES,
    *changes.ROUTES,
    *farm.ROUTES,
    *force.ROUTES,
    *grants.ROUTES,
    *log.ROUTES,
    *metrics.ROUTES,
    *packages.ROUTES,
    *parents.ROUTES,
    *queue.ROUTES,
    *repositories.ROUTES,
    *session.ROUTES,
    *slaves.ROUTES,
    *waterfall.ROUTES,
    *atom.ROUTES,
    *badges.ROUTES,
    *api.ROUTES,
)
