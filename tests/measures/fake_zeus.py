"""A package `zeus` for tests, of the interface of the real one (0.16), whose counters tell what a file says.

One joule for each byte of the file, and a rest that grows with time: 5 W for the packages, 2 W for their memory, 50 W
for the GPU. The file is where the tests' models leave their joules.
"""

import sys
from pathlib import Path
from types import ModuleType

REST = {"rapl": 5.0, "rapl-dram": 2.0, "nvml": 50.0}

FILES = {
    "__init__": "",
    "exception": "class ZeusBaseError(Exception): pass",
    "device/__init__": """
        from zeus.device.cpu import get_cpus
        from zeus.device.gpu import get_gpus
    """,
    "device/cpu/__init__": """
        import os
        from zeus.device.cpu.common import ZeusCPUNoPermissionError
        def rapl_is_available(): return "cpu" in os.environ["FAKE_COUNTERS"]
        def get_cpus():
            if "locked" in os.environ["FAKE_COUNTERS"]:
                raise ZeusCPUNoPermissionError("Can't read file;\\nask root")
            return ["package 0", "package 1"]
    """,
    "device/cpu/common": """
        from zeus.exception import ZeusBaseError
        class ZeusCPUNoPermissionError(ZeusBaseError): pass
    """,
    "device/gpu/__init__": """
        import os
        from zeus.exception import ZeusBaseError
        class NVIDIAGPUs(list):
            def supports_get_total_energy_consumption(self, index): return "old" not in os.environ["FAKE_COUNTERS"]
        def get_gpus():
            if "gpu" not in os.environ["FAKE_COUNTERS"]: raise ZeusBaseError("NVML unavailable.")
            return NVIDIAGPUs(["GPU 0"])
    """,
    "monitor/__init__": """
        import os, time
        from types import SimpleNamespace
        print("zeus says something")
        class ZeusMonitor:
            def __init__(self, gpu_indices, cpu_indices):
                self.gpus, self.cpus, self.begun = gpu_indices, cpu_indices, {}
            def begin_window(self, key, sync_execution=True):
                self.begun[key] = time.time(), os.path.getsize(os.environ["FAKE_JOULES"])
            def end_window(self, key, sync_execution=True):
                (before, spent), counters = self.begun.pop(key), os.environ["FAKE_COUNTERS"]
                seconds = time.time() - before
                joules, moves = os.path.getsize(os.environ["FAKE_JOULES"]) - spent, "stuck" not in counters
                each = max(1, len(self.cpus))
                return SimpleNamespace(
                    time=seconds,
                    gpu_energy={i: moves * (joules + 50 * seconds) for i in self.gpus},
                    cpu_energy={i: moves * (joules + 5 * seconds) / each for i in self.cpus} or None,
                    dram_energy={i: moves * 2 * seconds / each for i in self.cpus} if "dram" in counters else None,
                )
    """,
}


def install(folder: Path, monkeypatch, counters: str) -> Path:
    """Put the package first on `sys.path`.

    Args:
        folder: for it.
        monkeypatch: pytest's.
        counters: what the machine has, such as "cpu dram gpu"; "locked", "old" and "stuck" ones disappoint.

    Returns:
        The file where models leave their joules.
    """
    for name, text in FILES.items():
        path = folder / "zeus" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.splitlines()
        path.write_text("\n".join(line.removeprefix(" " * 8) for line in lines))
    spent = folder / "joules"
    spent.write_bytes(b"")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setitem(sys.modules, "zeus", ModuleType("zeus"))  # gone after the test
    monkeypatch.setenv("FAKE_COUNTERS", counters)
    monkeypatch.setenv("FAKE_JOULES", str(spent))
    return spent
