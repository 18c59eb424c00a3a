"""Limit of file descriptors of a process."""

import resource

_MOST = 65_536
"""Enough for every connection that settings allow; some systems allow a billion, which loops over descriptors feel."""


def raise_descriptor_limit() -> int:
    """Raise the limit of this process as far as the system allows; return it. Most systems start with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        soft = limit
    return soft
