"""The job queue: claims with leases, retry rules, notification."""
