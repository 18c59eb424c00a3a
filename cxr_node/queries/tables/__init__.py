"""Tables of pages and JSON API: views with filters, an order, a period and pages by key."""
