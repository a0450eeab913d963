pytest_plugins = ["tests.fixtures.weed"]
