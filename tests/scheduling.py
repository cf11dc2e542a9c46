"""Which tests pytest-xdist gives to one process: those of one file, for they share what is slow to prepare,
and the journeys that share one deployment.

Not by xdist's marks for groups: with pytest 9.2 its `--dist loadgroup` takes no notice of them, silently.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

JOURNEYS = "tests/journeys/"
# Those that start what they need for themselves.
BY_THEMSELVES = {f"{JOURNEYS}test_pools.py", f"{JOURNEYS}test_support.py"}


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # it ships no types
    """Gives out one group of tests after the other, in the order of `pytest_collection_modifyitems`."""

    def _split_scope(self, nodeid: str) -> str:
        """The test's group: those of a group run in one process, one after the other."""
        path = nodeid.partition("::")[0]
        return JOURNEYS if path.startswith(JOURNEYS) and path not in BY_THEMSELVES else path
