"""Training segmentation networks end to end with PyTorch, with every loss.

Needs PyTorch; nothing else of the package imports it, but figures that train networks.
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'lovasz_opt.training needs PyTorch: pip install "lovasz-opt[training]"', name=error.name
    ) from error
