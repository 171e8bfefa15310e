"""Tools of a program that uses Pydantic AI."""

from pydantic_ai import Tool

BLOCKS = ()


def tools(functions):
    return [Tool(function) for function in functions]
