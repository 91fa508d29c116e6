"""Django's door to the tables: every package's models, nothing else."""

from changemgmt.accounts.models import *
from changemgmt.approvals.models import *
from changemgmt.architecture.models import *
from changemgmt.assessment.models import *
from changemgmt.audit.models import *
from changemgmt.changes.models import *
from changemgmt.computations.models import *
from changemgmt.execution.models import *
from changemgmt.notifications.models import *
from changemgmt.planning.models import *
from changemgmt.preview.models import *
from changemgmt.scheduling.models import *
