"""FLUX.1 Kontext [dev] on a machine of one's own, through diffusers.

Torch is imported in the worker process alone (`pipeline.py`): the server starts at once, stays live while a picture is
made, and survives what a GPU does to a process.
"""
