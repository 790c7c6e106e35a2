"""The local backend: a small server of its own that speaks the OpenAI images protocol.

A provider like any other to the gateway, and so it imports nothing from it.
"""
