"""Structured Reports: content items, trees, their rules, and the document around them."""
