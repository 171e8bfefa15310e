"""Tools of a program that uses Google's ADK: plain functions will do."""

BLOCKS = ()


def tools(functions):
    return functions
