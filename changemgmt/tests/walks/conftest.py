"""What every test here is checked for."""

from changemgmt.tests.documents import documents_are_true  # noqa: F401
