"""The product as processes, and a local YClients, for attacks that need them."""

from tests.journeys.conftest import make_database  # noqa: F401  a fixture
from tests.marketplace.conftest import yclients  # noqa: F401  a fixture
