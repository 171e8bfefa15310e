"""A model that is a script: an OpenAI-compatible server on 127.0.0.1, which needs no network, no key and no luck.

What it does is written in the request of the user: `calls=2` makes it call a tool so many times, one after the other,
`model=fails` makes the provider refuse. It calls the first tool that the request offers whose name does not sound like
something of the framework's own, with what the tool's schema asks for. Chat completions and responses, whole and as a stream.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Iterator

USAGE = (100, 10)  # Tokens in and out of each answer.


class Model:
    """The server, on a thread of its own and a port of its own."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.answers = {}  # type: ignore[attr-defined]
        self.tokens: Counter[int] = Counter()
        """What the answers about each ticket used, by its number: the truth that telemetry should come to."""
        self._server.used = self.tokens  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def decide(said: list[str], answered: int, tools: dict[str, Any]) -> Any:
    """Returns what the model does next: the name and arguments of a call, text, or None if the provider refuses."""
    text = "\n".join(said)
    if "model=fails" in text:
        return None
    wanted = re.search(r"calls=(\d+)", text)
    if tools and answered < int(wanted[1] if wanted else 0):
        name = next(iter(tools))
        required = tools[name].get("required") or list(tools[name].get("properties", {}))[:1]
        return name, {member: f"value {answered}" for member in required}
    return "Done."


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        request = json.loads(self.rfile.read(length) or b"{}")
        if self.path.endswith("/chat/completions"):
            self._chat(request)
        elif self.path.endswith("/responses"):
            self._responses(request)
        else:  # Whatever a framework reports to its makers.
            self._send(404, b"{}")

    # ------------------------------------------------------------------------------------------- chat completions

    def _chat(self, request: dict[str, Any]) -> None:
        messages = request["messages"]
        tools = {}
        for tool in request.get("tools") or []:
            if isinstance(tool.get("function"), dict):
                tools[tool["function"]["name"]] = tool["function"].get("parameters") or {}
        said = [_text(message.get("content")) for message in messages if message["role"] == "user"]
        choice = decide(said, sum(message["role"] == "tool" for message in messages), tools)
        if choice is None:
            return self._refuse()
        self._count(said)
        message: dict[str, Any] = {"role": "assistant", "content": choice}
        reason = "stop"
        if not isinstance(choice, str):
            call = {"id": f"call_{len(messages)}", "type": "function"}
            call["function"] = {"name": choice[0], "arguments": json.dumps(choice[1])}  # type: ignore[assignment]
            message, reason = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
        base = {"id": "chatcmpl-1", "created": 1, "model": request["model"]}
        usage = {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1], "total_tokens": sum(USAGE)}
        if not request.get("stream"):
            choices = [{"index": 0, "message": message, "finish_reason": reason}]
            answer = {**base, "object": "chat.completion", "choices": choices, "usage": usage}
            return self._send(200, json.dumps(answer).encode())

        def chunks() -> Iterator[dict[str, Any]]:
            delta = dict(message)
            if "tool_calls" in delta:
                delta["tool_calls"] = [{"index": 0, **delta["tool_calls"][0]}]
            for part, end in ((delta, None), ({}, reason)):
                choices = [{"index": 0, "delta": part, "finish_reason": end}]
                yield {**base, "object": "chat.completion.chunk", "choices": choices}
            yield {**base, "object": "chat.completion.chunk", "choices": [], "usage": usage}

        events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks())
        self._send(200, f"{events}data: [DONE]\n\n".encode(), "text/event-stream")

    # -------------------------------------------------------------------------------------------------- responses

    def _responses(self, request: dict[str, Any]) -> None:
        given = request["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        tools = {
            tool["name"]: tool.get("parameters") or {}
            for tool in request.get("tools") or []
            if tool.get("type") == "function"
        }
        said, answered = self.server.answers.get(request.get("previous_response_id"), ([], 0))  # type: ignore[attr-defined]
        said = said + [_text(item.get("content")) for item in items if item.get("role") == "user"]
        answered += sum(item.get("type") == "function_call_output" for item in items)
        choice = decide(said, answered, tools)
        if choice is None:
            return self._refuse()
        self._count(said)
        output: dict[str, Any]
        if isinstance(choice, str):
            content = [{"type": "output_text", "text": choice, "annotations": []}]
            output = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
        else:
            output = {"type": "function_call", "id": f"fc_{len(items)}", "call_id": f"call_{len(items)}"}
            output |= {"name": choice[0], "arguments": json.dumps(choice[1]), "status": "completed"}
        usage = {"input_tokens": USAGE[0], "output_tokens": USAGE[1], "total_tokens": sum(USAGE)}
        usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}  # type: ignore
        identity = f"resp_{secrets.token_hex(8)}"
        self.server.answers[identity] = (said, answered)  # type: ignore[attr-defined]
        answer = {
            "id": identity,
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": request["model"],
            "output": [output],
            "usage": usage,
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
        }
        if not request.get("stream"):
            return self._send(200, json.dumps(answer).encode())
        kinds = [
            {"type": "response.created", "response": {**answer, "status": "in_progress", "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": output},
            {"type": "response.output_item.done", "output_index": 0, "item": output},
            {"type": "response.completed", "response": answer},
        ]
        events = [{**kind, "sequence_number": number} for number, kind in enumerate(kinds)]
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        self._send(200, text.encode(), "text/event-stream")

    # ----------------------------------------------------------------------------------------------------- sending

    def _count(self, said: list[str]) -> None:
        ticket = re.search(r"ticket-(\d+)", "\n".join(said))
        if ticket:
            self.server.used[int(ticket[1])] += sum(USAGE)  # type: ignore[attr-defined]

    def _refuse(self) -> None:
        problem = {"message": "the script refuses", "type": "invalid_request_error", "code": None, "param": None}
        self._send(400, json.dumps({"error": problem}).encode())

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
