"""What all tests share: Hypothesis does not time an example, because machines are shared."""

from hypothesis import settings

settings.register_profile("sanji", deadline=None)
settings.load_profile("sanji")
