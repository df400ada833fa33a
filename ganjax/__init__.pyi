from . import data as data
from . import distributed as distributed
from . import gans as gans
from . import losses as losses
from . import metrics as metrics
from . import models as models
from . import penalties as penalties
from . import theory as theory
from .config import load_config as load_config
from .data import make_dataset as make_dataset
from .errors import UserError as UserError
from .gan import Gan as Gan
from .gans import make_gan as make_gan
from .gans.standard import Batch as Batch
from .pretrained import load_pretrained as load_pretrained
from .run import load_run as load_run
from .sampling import sample as sample
from .state import TrainState as TrainState
from .state import init_state as init_state
from .steps import d_step as d_step
from .steps import g_step as g_step
from .steps import train_step as train_step
from .train import train_and_evaluate as train_and_evaluate
from .transfer import init_from as init_from

__version__: str
