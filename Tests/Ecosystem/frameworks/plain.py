"""A program without a framework: a loop around OpenAI's client."""

import json

import openai

BLOCKS = ("check",)


def tools(functions):
    return functions


def names(functions):
    """What the loop needs beside the fleet: `act` is how it calls a tool."""
    known = {function.__name__: function for function in functions}

    def act(operation, arguments):
        return known[operation.name](**arguments)

    return {"json": json, "client": openai.OpenAI(), "act": act}
