"""Tools of a program that uses Microsoft Agent Framework."""

from agent_framework import tool

BLOCKS = ()


def tools(functions):
    return [tool(function) for function in functions]
