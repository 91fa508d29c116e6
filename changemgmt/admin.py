"""Django's door to the admin pages: every package's, nothing else."""

from importlib import import_module
from importlib.util import find_spec

PACKAGES = (
    "accounts",
    "architecture",
    "audit",
    "changes",
    "planning",
    "execution",
    "preview",
    "assessment",
    "scheduling",
    "approvals",
    "notifications",
)

for package in PACKAGES:
    if find_spec(f"changemgmt.{package}.admin"):
        import_module(f"changemgmt.{package}.admin")
