"""Priority boosts of jobs, in seconds that a job is claimed ahead of its due time; negative: behind it."""

NO_PRIORITY_BOOST = 0
LARGEST_PRIORITY_BOOST_S = 86400
BACKGROUND_BOOST_S = -86400
"""Boost of work that a person starts in bulk: it is claimed after all that falls due within a day."""
