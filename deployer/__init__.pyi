# What type checkers see of the lazy names in __init__.py.
from deployer.app.deployment import Deployment as Deployment
from deployer.app.fleet import Fleet as Fleet
from deployer.app.planned import Planned as Planned

__version__: str
