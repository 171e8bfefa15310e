"""Says what the reference implementation of JSON Schema thinks: one line of JSON in, one out.

In:  {"dialect": "draft7" | "draft2019" | "draft2020", "schema": ..., "values": [...]}
Out: [true, false, ...]; null if the schema itself is refused
"""

import json
import sys

import jsonschema

VALIDATORS = {
    "draft7": jsonschema.Draft7Validator,
    "draft2019": jsonschema.Draft201909Validator,
    "draft2020": jsonschema.Draft202012Validator,
}
sys.setrecursionlimit(10_000)

for line in sys.stdin:
    case = json.loads(line)
    validator = VALIDATORS[case["dialect"]]
    try:
        validator.check_schema(case["schema"])
        judge = validator(case["schema"])
        answer = [judge.is_valid(value) for value in case["values"]]
    except jsonschema.SchemaError as problem:
        print(problem, file=sys.stderr)
        answer = None
    print(json.dumps(answer))
