"""The errors that reach a user: one line that names what was wrong, what was wanted and an example that works."""


class MockveoError(Exception):
    """Whatever a user can cause and mend; the command line prints it without a traceback and exits with 2."""


class SpecError(MockveoError):
    """The OpenAPI document or an overlay cannot drive the server."""


class SettingsError(MockveoError):
    """A setting has a value that cannot be used."""


class ScenarioError(MockveoError):
    """A scenario does not exist, or its data is none."""


class RuleError(MockveoError):
    """A rule does not exist."""


class TraceError(MockveoError):
    """A file holds no traffic that can be judged."""
