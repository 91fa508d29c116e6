"""The WSGI application served by gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

# After the application is set up, which loads the models.
from changemgmt.audit.triggers import require_in_production  # noqa: E402

require_in_production()
