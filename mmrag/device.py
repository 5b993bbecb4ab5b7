"""Where a network computes, and how precisely: names a user gives in, torch's own out."""

from __future__ import annotations

import torch

from mmrag.errors import SettingError

__all__ = ["device_of", "dtype_of"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def device_of(wanted: str | torch.device | None) -> torch.device:
    """Take the device a user names, or the fastest there is.

    Raises
    ------
    SettingError
        When it cannot be used here.

    Examples
    --------
    >>> device_of("cpu")
    device(type='cpu')
    """
    if wanted is None:
        fastest = torch.accelerator.current_accelerator(check_available=True)
        return fastest or torch.device("cpu")
    try:
        return torch.empty(0, device=wanted).device
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        fault = str(error).partition(". ")[0]  # the rest is torch's list of all it knows
        raise SettingError(
            f"device {str(wanted)!r} cannot be used here ({fault}): give 'cpu', or leave it out"
        ) from error


def dtype_of(wanted: str | torch.dtype | None, *, default: torch.dtype) -> torch.dtype:
    """Take the precision a user names, as a string or as torch's own.

    Raises
    ------
    SettingError
        When it is none of float32, bfloat16 and float16.

    Examples
    --------
    >>> dtype_of("bfloat16", default=torch.float32)
    torch.bfloat16
    """
    if wanted is None:
        return default
    name = str(wanted).removeprefix("torch.")
    if name not in _DTYPES:
        raise SettingError(f"dtype {name!r} is not offered: give one of {', '.join(_DTYPES)}")
    return _DTYPES[name]
