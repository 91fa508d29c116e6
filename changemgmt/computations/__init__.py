"""Large work that one process at a time does: whose it is, how far it is, and that it be stopped."""
