"""The product as processes, for attacks that need a real server."""

from tests.journeys.conftest import make_database  # noqa: F401  a fixture
