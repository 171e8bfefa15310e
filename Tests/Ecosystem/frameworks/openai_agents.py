"""Tools of a program that uses OpenAI Agents."""

from agents import function_tool

BLOCKS = ()


def tools(functions):
    return [function_tool(function) for function in functions]
