"""What can go wrong for a user. Each message says what was expected, what came, and what to do."""


class KwsDendriteError(Exception):
    """Base of every error that is the input's fault, not ours: printed as one line, exit status 2."""


class ConfigError(KwsDendriteError):
    """A setting, or two settings together, that cannot be."""


class DataError(KwsDendriteError):
    """A clip, a folder or an array that cannot be used."""


class DivergenceError(DataError):
    """A loss that is not finite: features with bad values, or too high a learning rate."""


class CheckpointError(KwsDendriteError):
    """A checkpoint that is truncated, of another architecture, or not one."""


class OutputError(KwsDendriteError):
    """A folder that cannot be written: in use, not ours, full."""


class GraphError(KwsDendriteError):
    """A plain graph that is not well formed, or a model that cannot be folded into one."""


class ExportError(KwsDendriteError):
    """An artefact that cannot be written, or is off its target's operator list."""


class ParityError(ExportError):
    """An exported artefact whose outputs differ from the trained model's by more than the bound."""


class ServiceError(KwsDendriteError):
    """A service on the network that refuses, fails, or does not answer."""
