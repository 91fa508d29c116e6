"""`manage.py change …`: every act of a change on the command line, through the same verbs as page and API."""
