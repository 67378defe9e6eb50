"""The start of the program: says in one sentence why it cannot start, then hands over to runner.cli.

The syntax is that of old Pythons, so that they can read the sentence too.
"""
import sys
import warnings

OLDEST_PYTHON = (3, 11)


def main():
    """Run the command line -> exit status."""
    if sys.version_info < OLDEST_PYTHON:
        return _fail("Python %d.%d or newer is needed; this is Python %s in %s"
                     % (OLDEST_PYTHON + (sys.version.split()[0], sys.executable)))
    try:
        import runner
        from runner.cli import main as run
    except ImportError as error:
        if (error.name or "").split(".")[0] != "runner":
            raise
        return _fail("the import package `runner` of this program is not found (%s)%s" % (error, _in_the_way()))
    if not hasattr(runner, "_HOME"):
        return _fail("the import package `runner` is that of another program" + _in_the_way())
    if not sys.warnoptions:     # NumPy's, on the way to an error that names the layer
        warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)
    return run()


def _in_the_way():
    """Whose `runner` was imported instead, and what to do."""
    found = sys.modules.get("runner")
    places = [str(getattr(found, "__file__", None) or "")] if found else []
    places = [place for place in places if place] or [str(place) for place in getattr(found, "__path__", [])]
    where = " in %s" % places[0] if places else ""
    return (": Python finds another `runner`%s. Another distribution has the same import name: uninstall it (pip "
            "uninstall runner) and install this one again (pip install --force-reinstall cfgrunner), or use a virtual "
            "environment" % where)


def _fail(sentence):
    sys.stderr.write("cfgrunner: %s\n" % sentence)
    return 2
