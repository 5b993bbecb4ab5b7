"""How much a run tries: `fast` by default, `full` with `make test-full` (`pytest --hypothesis-profile full`).

>>> @settings(max_examples=scaled(fast=20, full=200))  # doctest: +SKIP
>>> for moment in range(scaled(fast=4, full=60)):  # doctest: +SKIP
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

FAST, FULL = "fast", "full"
# A busy machine is no reason to fail.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


def register_profiles() -> None:
    """Register both profiles, and load `fast` until pytest's option names another."""
    settings.register_profile(FAST, max_examples=50, stateful_step_count=20, **PATIENT)
    settings.register_profile(FULL, max_examples=200, stateful_step_count=50, **PATIENT)
    settings.load_profile(FAST)


def scaled(*, fast: int, full: int) -> int:
    """Return how often this run repeats something: `full` times in the full profile, else `fast` times."""
    return full if settings.get_current_profile_name() == FULL else fast
