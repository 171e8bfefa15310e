import EnsignImport
import EnsignJSON
import EnsignModel
import Testing

@Suite("Importing an interface's description")
struct OpenAPITests {
    private func document(_ text: String) throws -> OpenAPIDocument {
        try OpenAPIDocument(try ForeignDocument.read(Array(text.utf8)))
    }

    private static let old = """
        openapi: 3.0.3
        info: {title: Billing, version: v2}
        servers: [{url: https://billing.example.com}]
        paths:
          /invoices/{id}:
            parameters:
              - {name: id, in: path, required: true, schema: {type: string}}
            get:
              operationId: getInvoice
              summary: Reads an invoice.
              parameters:
                - {name: id, in: query, schema: {type: integer, minimum: 0, exclusiveMinimum: true}}
                - {name: Authorization, in: header, schema: {type: string}}
              responses:
                '200':
                  content:
                    application/json:
                      schema: {$ref: '#/components/schemas/Invoice'}
            delete:
              responses: {'204': {description: gone}}
          /invoices:
            post:
              operationId: create invoice
              requestBody: {$ref: '#/components/requestBodies/Invoice'}
              responses: {}
            put:
              operationId: broken
              requestBody:
                content: {application/json: {schema: {$ref: 'other.yaml#/Invoice'}}}
        components:
          requestBodies:
            Invoice:
              required: true
              content: {application/json: {schema: {$ref: '#/components/schemas/Invoice'}}}
          schemas:
            Invoice:
              type: object
              required: [total]
              properties:
                total: {type: number}
                note: {type: string, nullable: true, example: 2026-01-01}
                parent: {$ref: '#/components/schemas/Invoice', description: ignored here}
          securitySchemes: {key: {type: apiKey}, unused: {type: http}}
        security: [{key: []}]
        """

    @Test("No parameter takes the place of another one, nor the body of a parameter; each new name is said")
    func names() throws {
        let document = try document(
            """
            openapi: 3.0.0
            info: {title: t, version: 1.0.0}
            paths:
              /x/{id}:
                get:
                  operationId: getx
                  parameters:
                    - {name: path_id, in: query, schema: {type: integer}}
                    - {name: id, in: query, schema: {type: boolean}}
                    - {name: id, in: path, required: true, schema: {type: string}}
                    - {name: id, in: cookie, schema: {type: number}}
                    - {name: request_body, in: query, schema: {type: integer}}
                    - {name: body, in: query, schema: {type: integer}}
                    - {name: cookie_id, in: query, schema: {type: integer}}
                  requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
                  responses: {}
            """
        )
        let input = try #require(document.operations.first?.input)
        let types = (input["properties"]?.object ?? [:]).map { "\($0.key): \($0.value["type"]?.string ?? "")" }.sorted()
        #expect(
            types == [
                "body: integer", "cookie_id: integer", "cookie_id_2: number", "id: boolean", "path_id: integer",
                "path_id_2: string", "request_body: integer", "request_body_2: object",
            ]
        )
        #expect(input["required"] == ["path_id_2", "request_body_2"])
        for name in ["'path_id_2'", "'cookie_id_2'", "'request_body_2'"] {
            #expect(document.decisions.contains { $0.message.contains(name) }, "\(name)")
        }
    }

    @Test("Definitions that are made of many others are read in time, in a circle too", arguments: [false, true])
    func manyParts(isCircle: Bool) throws {
        let levels = 9
        let parts = 12
        var schemas = ""
        for level in 0..<levels {
            let next = level + 1 < levels ? level + 1 : isCircle ? 0 : nil
            let all = next.map { next in (0..<parts).map { _ in "{$ref: '#/components/schemas/L\(next)'}" } } ?? []
            let own = "{type: object, properties: {p\(level): {type: string, readOnly: true}}}"
            schemas += "    L\(level): {allOf: [\((all + [own]).joined(separator: ", "))]}\n"
        }
        let text = """
            openapi: 3.0.0
            info: {title: t, version: 1.0.0}
            paths:
              /x:
                post:
                  requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/L0'}}}}
                  responses: {}
            components:
              schemas:
            \(schemas)
            """
        let start = ContinuousClock.now
        let document = try document(text)
        #expect(ContinuousClock.now - start < .seconds(10))
        #expect(document.operations.count == 1)
        #expect(!(document.operations.first?.input?.text.contains("p8") ?? true), "a client does not say it")
    }

    @Test("Each operation has its parameters and body in one schema, and the definitions that it uses")
    func operations() throws {
        let document = try document(Self.old)
        #expect(document.operations.map(\.name) == ["post_create_invoice", "getInvoice", "delete_invoices_id"])
        #expect(document.operations.map(\.method) == ["post", "get", "delete"])
        for operation in document.operations {
            for schema in [operation.input, operation.output].compactMap({ $0 }) {
                #expect(lintSchema(schema).filter { $0.severity == .error } == [])
            }
        }
        let get = try #require(document.operations.first { $0.name == "getInvoice" })
        let input = try JSONSchema(try #require(get.input))
        #expect(input.validate(["id": "a", "query_id": 1]).isEmpty)
        for value: JSONValue in [["query_id": 1], ["id": 1], ["id": "a", "query_id": 0], ["id": "a", "other": 1]] {
            #expect(!input.validate(value).isEmpty, "\(value)")
        }
        let output = try JSONSchema(try #require(get.output))
        #expect(output.validate(["total": 1, "note": .null, "parent": ["total": 2]]).isEmpty)
        for value: JSONValue in [[:], ["total": 1, "note": 1], ["total": 1, "parent": [:]]] {
            #expect(!output.validate(value).isEmpty, "\(value)")
        }
        #expect(document.decisions.map(\.kind) == [.leftOut, .noPlace, .noPlace, .look, .look])
        #expect(document.decisions[2].message.contains("'id' of its query is declared as 'query_id': getInvoice"))
        // What nothing asks for is not wanted.
        #expect(document.decisions.last?.message.contains("it wants key: say") == true)
    }

    @Test(
        "What only the server says is not asked of a caller, and what only a caller says is not awaited from the server"
    )
    func sides() throws {
        let document = try document(
            """
            openapi: 3.0.3
            info: {title: T, version: '1'}
            paths:
              /users:
                post:
                  operationId: create
                  requestBody:
                    content:
                      application/json:
                        schema:
                          allOf: [{$ref: '#/components/schemas/User'}, {required: [id, name]}]
                  responses: {'201': {content: {application/json: {schema: {$ref: '#/components/schemas/User'}}}}}
            components:
              schemas:
                Id: {type: string, readOnly: true}
                User:
                  type: object
                  additionalProperties: false
                  required: [id, created, name, password]
                  properties:
                    id: {$ref: '#/components/schemas/Id'}
                    created: {type: string, readOnly: true}
                    name: {type: string}
                    password: {type: string, writeOnly: true}
            """
        )
        let operation = try #require(document.operations.first)
        let input = try JSONSchema(try #require(operation.input))
        #expect(input.validate(["body": ["name": "a", "password": "b"]]).isEmpty)
        for body: JSONValue in [["name": "a"], ["name": "a", "password": "b", "id": "c"]] {
            #expect(!input.validate(["body": body]).isEmpty, "\(body)")
        }
        let output = try JSONSchema(try #require(operation.output))
        #expect(output.validate(["id": "a", "created": "b", "name": "c"]).isEmpty)
        #expect(!output.validate(["id": "a", "name": "c"]).isEmpty)
    }

    @Test("Operations that would be called alike get marks of their own, which do not change with the others")
    func alike() throws {
        func names(_ paths: String) throws -> [String] {
            try document("openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths: {\(paths)}\n").operations.map(\.name)
        }
        let two = try names("'/a/{id}': {get: {parameters: [{name: id, in: path, schema: {}}]}}, '/a/id': {get: {}}")
        #expect(Set(two).count == 2 && two.allSatisfy { $0.hasPrefix("get_a_id_") && $0.utf8.count == 17 }, "\(two)")
        let three = try names(
            "'/a/{id}': {get: {parameters: [{name: id, in: path, schema: {}}]}}, '/a/id': {get: {}}, '/a id': {get: {}}"
        )
        #expect(three.count == 3 && Set(three).isSuperset(of: two), "\(three)")
        #expect(try names("'/a/id': {get: {}}") == ["get_a_id"])
        let ids = try names("/a: {get: {operationId: x}, put: {operationId: x}}, /b: {get: {operationId: y}}")
        #expect(ids.count == 3 && ids.filter { $0.hasPrefix("x_") }.count == 2 && ids.contains("y"), "\(ids)")
        let said = try document(
            "openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths: {/a: {get: {operationId: x}, put: {operationId: x}}}\n"
        ).decisions.first { $0.subject == "x" }
        #expect(said?.text.contains("get /a, put /a") == true && said?.text.contains("operationId") == true)
    }

    @Test("What a manifest has no place for is said, with whose it is, and the place of an operation is known")
    func unsaid() throws {
        let document = try document(
            """
            openapi: 3.1.0
            info: {title: T, version: '1'}
            servers: [{url: 'https://ada:hunter2@host/v1'}]
            webhooks: {w: {post: {}}}
            paths:
              /a:
                post:
                  operationId: upload
                  parameters: [{name: Authorization, in: header, schema: {type: string}}]
                  requestBody: {content: {multipart/form-data: {schema: {type: object}}}}
                put:
                  operationId: raw
                  requestBody: {content: {application/octet-stream: {}}}
                trace: {operationId: t}
            """
        )
        let said = document.decisions.map(\.text).joined(separator: "\n")
        for words in [
            "the header authorization is its caller's, as OpenAPI has it: upload",
            "the body is multipart/form-data, of which the schema is declared alone: upload",
            "the body (application/octet-stream) has no schema, and is not declared: raw", "webhooks: ",
        ] { #expect(said.contains(words), "\(words) in \(said)") }
        #expect(!said.contains("hunter2"), "\(said)")
        #expect(Set(document.operations.map(\.name)) == ["upload", "raw", "t"])
        #expect(document.places["raw"] == ["paths", "/a", "put"])
    }

    @Test(
        "What is no such description is said to be so",
        arguments: ["", "[]", "{}", "swagger: '2.0'", "a: &x 1", "{\"openapi\": \"3.0\"", "openapi: 4.0.0"]
    )
    func others(text: String) {
        #expect(throws: ForeignDocumentError.self) { try document(text) }
    }

    @Test("References that go round end, and what leads nowhere is left out")
    func circles() throws {
        let document = try document(
            """
            {"openapi": "3.1.0", "paths": {"/a": {"$ref": "#/paths/~1a", "get": {"parameters": [{"$ref": "#/components/parameters/p"}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/none"}}}}}},
            "/b": {"get": {"responses": {"200": {"content": {"application/json": {"schema":
            {"$ref": "#/components/schemas/s", "maximum": 3}}}}}}}},
            "components": {"parameters": {"p": {"$ref": "#/components/parameters/p"}}, "schemas": {"s": {"type": "integer"}}}}
            """
        )
        #expect(document.operations.map(\.name) == ["get_b"])
        let output = try JSONSchema(try #require(document.operations[0].output))
        #expect(output.validate(3).isEmpty && !output.validate(4).isEmpty && !output.validate("1").isEmpty)
    }

    @Test(
        "What an operation names and the file does not have leaves it out: it is never one without arguments",
        arguments: [
            "/a: {post: {operationId: a, requestBody: {$ref: '#/components/requestBodies/Nope'}}}",
            "/a: {get: {operationId: a, parameters: [{$ref: 'common.yaml#/Limit'}]}}",
            "/a: {get: {operationId: a, parameters: [5]}}", "/a: {$ref: 'c.yaml'}", "/d/{x}: {get: {operationId: d}}",
            "/a: {get: {operationId: a, parameters: [{name: x, in: query, schema: {$ref: '#/components/schemas/B'}}]}}",
            "/a: {get: {operationId: a, parameters: [{name: x, in: query, schema: {$ref: '#/components/schemas/C'}}]}}",
        ]
    )
    func unknown(_ path: String) throws {
        let read = try self.document(
            "openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths:\n  \(path)\n"
                + "components: {schemas: {B: {$ref: '#/$defs/A'}, C: {items: {$ref: '#'}}}}\n"
        )
        #expect(read.operations == [])
        #expect(read.decisions.count { $0.kind == .leftOut } == 1, "\(read.decisions)")
    }

    @Test("A description whose definitions multiply ends soon, and says what is left out", .timeLimit(.minutes(1)))
    func mesh() throws {
        var text = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths:\n"
        for number in 0..<400 {
            text +=
                "  /p\(number): {get: {operationId: o\(number), parameters: [{name: x, in: query, "
                + "schema: {$ref: '#/components/schemas/T0'}}]}}\n"
        }
        text += "components:\n  schemas:\n"
        for number in 0..<300 {
            let references = (0..<20).map { "p\($0): {$ref: '#/components/schemas/T\((number + $0 * 13 + 1) % 300)'}" }
            text += "    T\(number): {type: object, properties: {\(references.joined(separator: ", "))}}\n"
        }
        let read = try self.document(text)
        #expect(!read.operations.isEmpty && read.operations.count < 400)
        #expect(read.decisions.contains { $0.kind == .leftOut && $0.subject == "o399" })
    }

    @Test("What an operation says that no manifest can is listed: that it is old, elsewhere, calls back")
    func withoutPlace() throws {
        let offered = try document(
            """
            openapi: 3.1.0
            info: {title: a, version: 1.0.0}
            paths:
              /a:
                servers: [{url: 'https://other.example.com'}]
                get:
                  operationId: old
                  deprecated: true
                  parameters: [{name: session, in: cookie, schema: {type: string}}]
                post:
                  operationId: called
                  servers: [{url: 'https://third.example.com'}]
                  callbacks: {done: {'{$request.body#/url}': {post: {}}}}
            """
        )
        #expect(
            offered.decisions.filter { $0.kind == .noPlace }.map(\.message) == [
                "a cookie is declared as an argument: old",
                "it is at a server of its own, https://other.example.com: old",
                "it is at a server of its own, https://third.example.com: called", "it is deprecated: old",
                "what it calls back is not an operation: called",
            ]
        )
    }
}

@Suite("Importing agents from frameworks' files")
struct AgentFilesTests {
    private func read(_ text: String) throws -> JSONValue { try ForeignDocument.read(Array(text.utf8)) }

    @Test("crewAI's agents get role, goal, backstory and their tasks as the prompt")
    func crew() throws {
        let agents = try AgentFiles.crewAI(
            agents: read(
                """
                senior_researcher:
                  role: >
                    Senior researcher of {topic}
                  goal: Find what is new.
                  backstory: You read everything.
                  llm: openai/gpt-5
                  max_iter: 12
                  allow_delegation: true
                writer: {role: Writer}
                """
            ),
            tasks: read(
                """
                research: {description: Look for news., expected_output: A list., agent: senior_researcher}
                write: {description: Write., agent: writer}
                """
            )
        )
        #expect(agents.map(\.name) == ["senior-researcher", "writer"])
        let first = agents[0]
        #expect(first.description == "Find what is new." && first.model?.name == "gpt-5" && first.steps == 12)
        for part in ["Senior researcher of {topic}", "You read everything.", "Look for news.", "A list."] {
            #expect(first.prompt?.contains(part) == true)
        }
        #expect(first.prompt?.contains("Write.") == false)
        #expect(first.decisions.contains { $0.text.contains("{topic}") })
        #expect(first.decisions.contains { $0.text.contains("allow_delegation") })
        #expect(first.manifest(fallback: nil) != nil)
        #expect(agents[1].manifest(fallback: nil) == nil)
        #expect(agents[1].manifest(fallback: ("openai", "gpt-5"))?.contains("# guess") == true)
    }

    @Test(
        "A task of nobody's is said and not lost, a model may be named within llm, and an entry that is not an agent is named"
    )
    func crewLeftovers() throws {
        let agents = try ForeignDocument.read(Array("desk: {role: R, llm: {model: openai/gpt-5}}\n".utf8))
        let tasks = try ForeignDocument.read(Array("one: {agent: other}\ntwo: {description: D}\n".utf8))
        let found = try AgentFiles.crewAI(agents: agents, tasks: tasks)
        #expect(found[0].model?.name == "gpt-5")
        let lost = found[0].decisions.filter { $0.subject == "tasks" }.map(\.message)
        #expect(lost == ["the task 'one' is for 'other', who is not in agents.yaml", "the task 'two' names no agent"])
        let odd = try ForeignDocument.read(Array("a: {role: R}\nb: {x: y}\n".utf8))
        #expect(throws: ForeignDocumentError.self) { try AgentFiles.crewAI(agents: odd, tasks: nil) }
    }

    @Test("Each graph of langgraph.json is an agent; values of env are not taken")
    func graphs() throws {
        let agents = try AgentFiles.langGraph(
            read(
                #"{"graphs": {"My Agent": "./a.py:graph", "b": {"path": "./b.py:g"}}, "env": {"KEY": "s3cret"}, "dependencies": ["."]}"#
            )
        )
        #expect(agents.map(\.name) == ["my-agent", "b"])
        #expect(agents[0].runtime == ["kind": "langgraph", "graph": "./a.py:graph"])
        #expect(agents.flatMap(\.decisions).allSatisfy { !$0.text.contains("s3cret") })
        #expect(agents.flatMap(\.decisions).contains { $0.text.contains("KEY") })
    }

    @Test(
        "Files that are something else are refused",
        arguments: ["[]", "a: 1", "{}", "\u{1b}", "graphs: {}", "é: {}"]
    )
    func others(text: String) {
        #expect(throws: ForeignDocumentError.self) { try AgentFiles.crewAI(agents: read(text), tasks: nil) }
        #expect(throws: ForeignDocumentError.self) { try AgentFiles.langGraph(read(text)) }
    }
}
