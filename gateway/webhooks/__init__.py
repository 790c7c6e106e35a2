"""Webhooks out, after Standard Webhooks: where teams want to be told, and telling them."""
