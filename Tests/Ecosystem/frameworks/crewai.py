"""Tools of a program that uses CrewAI."""

from crewai.tools import tool

BLOCKS = ("check", "checked")


def tools(functions):
    return [tool(function.__name__)(function) for function in functions]
