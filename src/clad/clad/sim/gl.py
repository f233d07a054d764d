"""The one place that chooses how MuJoCo draws. The choice must be made before anything imports robosuite or OpenGL.

Headless machines have two ways: EGL (a GPU, or Mesa's llvmpipe) and OSMesa (always software). In software the two
give the same pictures.
"""

from __future__ import annotations

import ctypes
import os
import sys

from clad.errors import CladError, UsageError

BACKENDS = ("egl", "osmesa")
_PACKAGES = {"egl": "libegl1 libegl-mesa0 libgl1-mesa-dri", "osmesa": "libosmesa6"}


def choose_backend(requested: str = "auto") -> str:
    """Set up the environment for `requested` ('auto', 'egl' or 'osmesa') and return the backend in use.

    'auto' keeps $MUJOCO_GL if it is set, else takes EGL where it works and OSMesa where it does not.
    Raises UsageError for an unknown backend or one that comes too late (OpenGL is loaded for another), CladError
    naming the missing system package if the backend cannot run.
    """
    if requested not in ("auto", *BACKENDS):
        raise UsageError(f"unknown GL backend '{requested}'", f"Valid: auto, {', '.join(BACKENDS)}")
    current = os.environ.get("MUJOCO_GL", "").strip().lower()
    if "robosuite" in sys.modules or "OpenGL" in sys.modules:
        if current not in BACKENDS:
            raise CladError(
                f"OpenGL was loaded with MUJOCO_GL='{current}', which cannot draw without a screen",
                "Set MUJOCO_GL=egl, or create the environment before importing robosuite",
            )
        if requested not in ("auto", current):
            raise UsageError(f"this process already draws with '{current}', not '{requested}'", "Start a new process")
        return current
    if requested == "auto" and current in BACKENDS:
        requested = current
    order = BACKENDS if requested == "auto" else (requested,)
    chosen = next((b for b in order if _works(b)), None)
    if chosen is None:
        packages = " or ".join(f"{_PACKAGES[b]} ({b})" for b in order)
        raise CladError(f"no GL backend can draw here (tried {', '.join(order)})", f"apt-get install {packages}")
    os.environ["MUJOCO_GL"] = os.environ["PYOPENGL_PLATFORM"] = chosen
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":  # robosuite parses it as a list of numbers and fails obscurely
        del os.environ["CUDA_VISIBLE_DEVICES"]
    return chosen


def _works(backend: str) -> bool:
    return _egl_works() if backend == "egl" else _loads("libOSMesa.so.8") or _loads("libOSMesa.so.6")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _egl_works() -> bool:
    """Whether an EGL device can be initialised: the library alone says nothing, the driver may be missing."""
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    query = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_of = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query or not display_of:
        return False
    devices, count = (ctypes.c_void_p * 16)(), ctypes.c_int32(0)
    ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(query)(
        16, ctypes.cast(devices, ctypes.c_void_p), ctypes.cast(ctypes.byref(count), ctypes.c_void_p)
    )
    get_display = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(display_of)
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    platform_device = 0x313F
    displays = (get_display(platform_device, devices[i], None) for i in range(count.value))
    return any(d and egl.eglInitialize(d, None, None) for d in displays)
