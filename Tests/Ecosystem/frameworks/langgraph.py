"""Tools of a program that uses LangChain and LangGraph."""

from langchain_core.tools import StructuredTool

BLOCKS = ("check", "guard")


def tools(functions):
    return [StructuredTool.from_function(function) for function in functions]
