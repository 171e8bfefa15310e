import EnsignJSON
import EnsignModel
import EnsignPolicy

/// What of a server's answer is passed on.
struct ResultCheck {
    /// Strict withholds a result whose structured content does not fit the schema that was reviewed. No schema holds the words
    /// beside it.
    var strictness: GatewayFile.Strictness
    var cutter: SecretCutter

    /// An answer that may be passed on.
    struct Passed {
        var result: JSONObject
        var isError: Bool
        /// What an operator must know of it; nil for nothing.
        var note: String?
    }

    /// - Parameters:
    ///   - result: A `CallToolResult`, as it came.
    ///   - misfit: Why a structured result does not fit the output schema; nil where it does, or there is none.
    ///   - schemas: The output schemas of the operation that count: none, or those of one or two bundles.
    func check(
        _ result: JSONValue,
        schemas: [JSONValue],
        misfit: (JSONValue) throws -> String?
    ) -> Passed {
        if result["resultType"]?.string ?? "complete" != "complete" {
            return error(
                "The server asks for input before it answers, which is not passed on. Nothing is known to be done."
            )
        }
        let isError = result["isError"]?.bool ?? false
        guard let content = content(of: result) else {
            return error("The call was made, and the server's answer is not one of the protocol.")
        }
        var passed: JSONObject = ["content": cutter.cut(.array(content))]
        if isError { passed["isError"] = true }
        // Any JSON value since 2026-07-28; what clients of an older version get of it is said where they are answered.
        let structured = result["structuredContent"].flatMap { $0.isNull ? nil : $0 }
        guard !schemas.isEmpty else {
            passed["structuredContent"] = structured.map(cutter.cut)
            return Passed(result: passed, isError: isError)
        }
        // Servers answer errors in words: only what they add to those in the form of a result is held.
        let held = structured ?? (isError ? nil : Self.value(in: content, schemas))
        if isError, held == nil { return Passed(result: passed, isError: true) }
        passed["structuredContent"] = held.map(cutter.cut)
        let problem: String?
        do {
            problem = try held.map { try misfit($0) } ?? "it has no structured content"
        } catch {
            problem = "its schema cannot be used: \(error)"
        }
        guard let problem else { return Passed(result: passed, isError: isError) }
        let note = "a result does not fit the output schema: \(cutter.cut(problem))".cut(utf8: 500)
        if strictness == .warn, held != nil { return Passed(result: passed, isError: isError, note: note) }
        if isError {
            passed["structuredContent"] = nil
            return Passed(result: passed, isError: true, note: note)
        }
        return error(
            "The call was made. Its result is withheld: it is not of the form that was reviewed. Do not repeat the call for it.",
            note: note
        )
    }

    private func error(_ text: String, note: String? = nil) -> Passed {
        let result: JSONObject = ["content": [.text(text)], "isError": true]
        return Passed(result: result, isError: true, note: note ?? text)
    }

    /// The content, which must be there; made from the structured one where a server leaves it out.
    private func content(of result: JSONValue) -> [JSONValue]? {
        guard result.object != nil else { return nil }
        if let content = result["content"] {
            guard let elements = content.array, elements.allSatisfy({ $0["type"]?.string != nil }) else { return nil }
            return elements
        }
        return result["structuredContent"].map { [.text($0.text)] }
    }

    /// The object that a single text is; where all schemas name another type, any JSON value.
    private static func value(in content: [JSONValue], _ schemas: [JSONValue]) -> JSONValue? {
        guard content.count == 1, let text = content[0]["text"]?.string,
            let value = try? JSONParser.parse(Array(text.utf8))
        else { return nil }
        let isOther = schemas.allSatisfy { schema in schema["type"].map { $0 != "object" } ?? false }
        return value.object == nil && !isOther ? nil : value
    }
}

extension JSONValue {
    /// A text, as an element of a result's content.
    static func text(_ text: String) -> JSONValue { ["type": "text", "text": .string(text)] }
}
