"""The demo: people for every seat, ArchiSurance as the architecture, and changes in several states."""
