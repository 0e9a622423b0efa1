import importlib.metadata
import subprocess
import sys

import pytest

from spikemark.core import frameworks
from spikemark.core.frameworks import MissingFramework, framework_version, get_adapter, install_command
from spikemark.errors import UnknownNameError
from spikemark.registry import PluginError

FRAMEWORKS = ("spikingjelly", "snntorch", "norse")


def test_versions_are_those_of_the_distributions_and_nothing_is_imported_for_them():
    code = (
        "import sys; from spikemark.core.frameworks import framework_version\n"
        f"for name in {FRAMEWORKS}: print(framework_version(name))\n"
        f"print([name for name in {('torch', *FRAMEWORKS)} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [*map(importlib.metadata.version, FRAMEWORKS), "[]"]


def test_what_lives_in_spikemark_has_its_version():
    assert framework_version("reference") == importlib.metadata.version("spikemark")


@pytest.fixture
def no_norse(monkeypatch):
    """Norse is announced, and its distribution is not there."""

    installed = importlib.metadata.version

    def version(package):
        if package == "norse":
            raise importlib.metadata.PackageNotFoundError(package)
        return installed(package)

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.usefixtures("no_norse")
def test_the_version_of_a_missing_framework_is_the_command_that_installs_it():
    with pytest.raises(
        MissingFramework, match=r"'norse' is not installed \(no norse\): pip install 'spikemark\[norse\]'"
    ):
        framework_version("norse")
    assert framework_version("snntorch") == importlib.metadata.version("snntorch")


def test_an_adapter_without_its_framework_is_answered_with_the_command_that_installs_it(monkeypatch):
    for module in ("spikemark_adapters.norse", "spikemark_adapters.native.norse"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "norse", None)
    monkeypatch.setitem(sys.modules, "norse.torch", None)
    monkeypatch.setattr(frameworks.FRAMEWORKS._entry("norse"), "value", "spikemark_adapters.norse:NorseAdapter")
    get_adapter.cache_clear()
    with pytest.raises(MissingFramework, match=r"'norse' is not installed .*pip install 'spikemark\[norse\]'"):
        get_adapter("norse")


def test_the_install_command_names_the_extra():
    assert install_command("norse") == "pip install 'spikemark[norse]'"


def test_a_wrong_name_is_answered_with_the_closest_one():
    for ask in (framework_version, get_adapter):
        with pytest.raises(UnknownNameError, match="no framework 'nrose'; did you mean 'norse'"):
            ask("nrose")


def test_two_frameworks_of_one_name_name_both_origins():
    with pytest.raises(PluginError, match=r"two framework entries are called 'norse': spikemark .* and test_"):
        frameworks.FRAMEWORKS.add("norse", object)
