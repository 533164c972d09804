"""Subscriptions: what a user wants to be told of, and where; each message of one is a delivery."""
