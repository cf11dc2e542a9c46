"""The product as processes, for attacks that need a real server."""

from tests.journeys.conftest import (  # noqa: F401  fixtures
    database_url,
    make_deployment,
    migrated_template,
    server_url,
)
