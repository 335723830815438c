"""Talking to a running machine over SSH, with its host key known before the first connection."""
