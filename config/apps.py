"""Which admin site Django uses."""

from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    """The admin with our rules about who may enter."""

    default_site = "changemgmt.accounts.admin_site.Site"
