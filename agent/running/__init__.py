"""From a plan to hops: the runner, worker processes, profiles, limits, events."""
