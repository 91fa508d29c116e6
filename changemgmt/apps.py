"""The one Django app of Countersign."""

from django.apps import AppConfig


class ChangeManagementConfig(AppConfig):
    name = "changemgmt"
    verbose_name = "Countersign"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.core.checks import Tags, register
        from django.db.models.signals import post_migrate

        from changemgmt.audit import triggers

        post_migrate.connect(triggers.after_migrate, sender=self, dispatch_uid="audit triggers")
        register(triggers.check, Tags.database)
        register(triggers.check_role, Tags.database, deploy=True)
