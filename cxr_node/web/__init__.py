"""The web application: pages, JSON API, metrics, health."""
