"""ganjax: generative adversarial networks as pure functions of arrays.

Public names, listed in `__init__.pyi`, are imported on first use.
"""

import lazy_loader

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
