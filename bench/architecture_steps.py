"""`python -m bench.architecture_steps STEP SIZE-OR-FOLDER`: one step of `bench.architecture`, its figures as one line of JSON."""

import contextlib
import json
import os
import sys

import django


def main(step: str, argument: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from bench.architecture_figures import STEPS  # its models need the set-up above

    with contextlib.redirect_stdout(sys.stderr):
        figures = STEPS[step](argument if step == "import" else int(argument))
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:3])
