"""Tools of a program that uses Strands."""

from strands import tool

BLOCKS = ()


def tools(functions):
    return [tool(function) for function in functions]
