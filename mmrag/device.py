"""Devices and number types of networks, resolved from names."""

from __future__ import annotations

import torch

from mmrag.errors import SettingError

__all__ = ["resolve_device", "resolve_dtype"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(device: str | torch.device | None) -> torch.device:
    """Return the named device, or the fastest available one if None; raise `SettingError` if it cannot be used."""
    if device is None:
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        fault = str(error).partition(". ")[0]  # the rest is a list of all devices torch knows
        raise SettingError(
            f"device {str(device)!r} cannot be used here ({fault}): give 'cpu', or leave it out"
        ) from error


def resolve_dtype(dtype: str | torch.dtype | None, *, default: torch.dtype) -> torch.dtype:
    """Return the named dtype: float32, bfloat16 or float16; raise `SettingError` for another one."""
    if dtype is None:
        return default
    name = str(dtype).removeprefix("torch.")
    if name not in _DTYPES:
        raise SettingError(f"dtype {name!r} is not offered: give one of {', '.join(_DTYPES)}")
    return _DTYPES[name]
