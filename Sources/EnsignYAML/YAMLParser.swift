import CYAML
import EnsignModel

/// Reads the subset of YAML that manifests are written in, through libyaml's events.
///
/// Uses events, not libyaml's document API, which resolves aliases: that is quadratic in anchors and lets 442 bytes
/// grow to gigabytes. Nothing here recurses on input depth.
package enum YAMLParser {
    /// The deepest nesting accepted.
    package static let maxDepth = 64
    /// Parsing stops after this many problems in one file.
    package static let maxProblems = 50

    /// Parses one document.
    ///
    /// Never throws: errors are in the problems, and the tape holds everything before a syntax error.
    ///
    /// - Parameter bytes: UTF-8 that ``TextScan`` has passed, without a byte order mark.
    package static func parse(_ bytes: ArraySlice<UInt8>) -> (tape: YAMLTape, problems: [YAMLProblem]) {
        var builder = TapeBuilder(bytes)
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        defer { unsafe parser.deallocate() }
        guard unsafe yaml_parser_initialize(parser) == 1 else {
            preconditionFailure("libyaml could not allocate a parser")
        }
        defer { unsafe yaml_parser_delete(parser) }
        unsafe bytes.withUnsafeBufferPointer { buffer in
            // An empty buffer may have no address; libyaml asserts that there is one.
            unsafe withUnsafePointer(to: UInt8(0)) { nothing in
                unsafe yaml_parser_set_input_string(parser, buffer.baseAddress ?? nothing, buffer.count)
            }
            unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
            var event = unsafe yaml_event_t()
            while true {
                guard unsafe yaml_parser_parse(parser, &event) == 1 else {
                    unsafe builder.syntaxError(parser.pointee, in: bytes)
                    break
                }
                let goesOn = unsafe builder.take(event)
                unsafe yaml_event_delete(&event)
                if !goesOn { break }
            }
        }
        // Without a final line end libyaml counts one more line than there is, and reports missing parts there.
        return builder.finish(end: bytes.last == 0x0A ? nil : end(of: bytes))
    }

    /// The place after the last character.
    private static func end(of bytes: ArraySlice<UInt8>) -> YAMLMark {
        let lastLine = bytes.lastIndex(of: 0x0A).map { bytes[($0 + 1)...] } ?? bytes
        let line = 1 + bytes.count { $0 == 0x0A }
        let column = 1 + lastLine.count { $0 & 0xC0 != 0x80 }
        return YAMLMark(line: UInt32(line), column: UInt32(column))
    }
}

/// Builds the tape event by event and collects what is not accepted.
private struct TapeBuilder {
    private var tape = YAMLTape()
    private var problems: [YAMLProblem] = []
    /// Indices of the containers that are open.
    private var open: [Int] = []
    private var documents = 0
    private var halted = false
    /// The scalar of the newest event; nil when that was something else.
    private var lastScalar: SyntaxError.Scalar?

    /// Places right behind a question mark, with no blank between.
    private let glued: Set<YAMLMark>

    init(_ bytes: ArraySlice<UInt8>) {
        glued = Self.placesBehindQuestionMarks(bytes)
        tape.nodes.reserveCapacity(bytes.count / 12 + 4)
        tape.text.reserveCapacity(bytes.count)
    }

    /// Almost always none: a question mark stands at the end of a sentence.
    private static func placesBehindQuestionMarks(_ bytes: ArraySlice<UInt8>) -> Set<YAMLMark> {
        guard bytes.contains(0x3F) else { return [] }
        var places: Set<YAMLMark> = []
        var mark = YAMLMark(line: 1, column: 1)
        var isBehind = false
        for byte in bytes {
            if isBehind, byte > 0x20 { places.insert(mark) }
            isBehind = byte == 0x3F
            if byte == 0x0A {
                mark = YAMLMark(line: mark.line + 1, column: 1)
            } else if byte & 0xC0 != 0x80 {
                mark.column += 1
            }
        }
        return places
    }

    /// - Parameter end: Where the text ends; nil when no mark can lie behind it.
    mutating func finish(end: YAMLMark?) -> (YAMLTape, [YAMLProblem]) {
        // Innermost first: containers that an error left open end where the tape does.
        while let container = open.popLast() {
            completePair(in: container)
            tape.nodes[container].end = UInt32(tape.nodes.count)
        }
        if !halted, tape.nodes.isEmpty, problems.isEmpty {
            refuse(
                "empty-file",
                "the file declares nothing",
                "see 'ensign new --help' for a start",
                YAMLMark(line: 1, column: 1)
            )
        }
        if let end { moveMarks(behind: end) }
        return (tape, problems)
    }

    private mutating func moveMarks(behind end: YAMLMark) {
        for index in tape.nodes.indices.reversed() {
            // Marks increase along the tape, except for the invalid values of pairs that were cut off.
            guard tape.nodes[index].mark.line > end.line || tape.nodes[index].kind == .invalid else { break }
            if tape.nodes[index].mark.line > end.line { tape.nodes[index].mark = end }
        }
        for index in problems.indices {
            if problems[index].mark.line > end.line { problems[index].mark = end }
            if let related = problems[index].related?.mark, related.line > end.line {
                problems[index].related?.mark = end
            }
        }
    }

    /// Handles one event; false ends the parse.
    mutating func take(_ event: yaml_event_t) -> Bool {
        let mark = unsafe mark(event.start_mark)
        lastScalar = nil
        let isEnd = unsafe event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT
        // What is left out between 'a?' and its closing brace begins nowhere.
        let isNothing = unsafe event.type == YAML_SCALAR_EVENT && event.start_mark.index == event.end_mark.index
        if !isEnd, !isNothing, glued.contains(mark) {
            // In braces libyaml takes the mark away from the key; YAML 1.2 makes it the key's first character. Nothing
            // else begins there: elsewhere the mark is part of what follows it.
            refuse("complex-key", "a '?' right before a key is read in two ways", "put the key into quotes", mark)
        }
        switch unsafe event.type {
        case YAML_DOCUMENT_START_EVENT:
            guard unsafe beginDocument(event, mark) else { return false }
        case YAML_ALIAS_EVENT:
            refuse("alias", "aliases are not accepted", "write the value out", mark)
            unsafe append(.invalid, mark)
        case YAML_SCALAR_EVENT:
            unsafe takeScalar(event, mark)
        case YAML_SEQUENCE_START_EVENT:
            let start = unsafe event.data.sequence_start
            checkProperties(anchor: unsafe start.anchor != nil, tag: unsafe start.tag != nil, mark)
            return begin(.sequence, mark)
        case YAML_MAPPING_START_EVENT:
            let start = unsafe event.data.mapping_start
            checkProperties(anchor: unsafe start.anchor != nil, tag: unsafe start.tag != nil, mark)
            return begin(.mapping, mark)
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
            close()
        case YAML_STREAM_END_EVENT:
            return false
        default:
            break
        }
        guard problems.count < YAMLParser.maxProblems else {
            refuse("too-many-problems", "too many problems: the rest of the file was not read", nil, mark)
            stop()
            return false
        }
        return true
    }

    /// - Returns: Whether it is the first one.
    private mutating func beginDocument(_ event: yaml_event_t, _ mark: YAMLMark) -> Bool {
        documents += 1
        guard documents == 1 else {
            refuse("several-documents", "a second document starts here", "put it in a file of its own", mark)
            return false
        }
        let start = unsafe event.data.document_start
        if unsafe start.version_directive != nil || start.tag_directives.start != start.tag_directives.end {
            refuse("directive", "YAML directives are not accepted", "remove the line that starts with %", mark)
        }
        return true
    }

    private mutating func takeScalar(_ event: yaml_event_t, _ mark: YAMLMark) {
        let scalar = unsafe event.data.scalar
        let plain = unsafe scalar.style == YAML_PLAIN_SCALAR_STYLE
        checkProperties(anchor: unsafe scalar.anchor != nil, tag: unsafe scalar.tag != nil, mark)
        let text = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
        if plain, text.count == 2, unsafe text[0] == 0x3C, unsafe text[1] == 0x3C, awaitsKey {
            refuse("merge-key", "merge keys are not accepted", "write the fields out", mark)
        }
        if unsafe StreamSafe.isExceeded(by: text) {
            // Written as escapes, or the scan of the text would have found them.
            refuse(TextScan.combiningCode, TextScan.combiningMessage, TextScan.combiningHint, mark)
            unsafe append(.invalid, mark)
        } else {
            unsafe append(plain ? .plain : .quoted, mark, text: text)
        }
        lastScalar = SyntaxError.Scalar(
            node: tape.nodes.count - 1,
            start: mark,
            end: unsafe self.mark(event.end_mark),
            isQuoted: unsafe scalar.style == YAML_SINGLE_QUOTED_SCALAR_STYLE
                || scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE
        )
    }

    /// Reports libyaml's error at the place where a person has to fix it: usually where something opens or begins.
    mutating func syntaxError(_ parser: yaml_parser_t, in bytes: ArraySlice<UInt8>) {
        let hasMark = unsafe parser.error != YAML_READER_ERROR
        let context = unsafe parser.context.map { unsafe String(cString: $0) }
        let error = SyntaxError(
            problem: unsafe parser.problem.map { unsafe String(cString: $0) } ?? "not YAML",
            context: context,
            mark: hasMark ? unsafe mark(parser.problem_mark) : YAMLMark(line: 1, column: 1),
            start: context == nil ? nil : unsafe mark(parser.context_mark),
            lastScalar: lastScalar
        )
        problems.append(error.explained(in: bytes))
        // The scalar swallowed the text after it: its content is not what was meant.
        if let scalar = lastScalar, scalar.start.line < scalar.end.line {
            tape.nodes[scalar.node].kind = .invalid
            tape.nodes[scalar.node].length = 0
        }
        stop()
    }

    // MARK: Nodes

    private mutating func begin(_ kind: YAMLKind, _ mark: YAMLMark) -> Bool {
        if awaitsKey {
            refuse("complex-key", "a key must be text", "write 'name: value'", mark)
        }
        guard open.count < YAMLParser.maxDepth else {
            refuse(
                "too-deep",
                "more than \(YAMLParser.maxDepth) levels of nesting",
                "flatten the value",
                mark
            )
            stop()
            return false
        }
        unsafe append(kind, mark)
        open.append(tape.nodes.count - 1)
        return true
    }

    private mutating func close() {
        guard let container = open.popLast() else { return }
        tape.nodes[container].end = UInt32(tape.nodes.count)
        if tape.nodes[container].kind == .mapping { checkDuplicates(in: container) }
    }

    private mutating func append(_ kind: YAMLKind, _ mark: YAMLMark, text: UnsafeBufferPointer<UInt8>? = nil) {
        if let parent = open.last { tape.nodes[parent].length += 1 }
        let index = tape.nodes.count
        let length = unsafe text?.count ?? 0
        tape.nodes.append(
            YAMLTape.Node(
                kind: kind,
                mark: mark,
                offset: UInt32(tape.text.count),
                length: UInt32(length),
                end: UInt32(index + 1)
            )
        )
        if let text = unsafe text { unsafe tape.text.append(contentsOf: text) }
    }

    /// Whether the next node is a key of the innermost mapping.
    private var awaitsKey: Bool {
        guard let parent = open.last, tape.nodes[parent].kind == .mapping else { return false }
        return tape.nodes[parent].length % 2 == 0
    }

    private mutating func stop() {
        halted = true
        tape.isComplete = false
    }

    /// An error between a key and its value leaves a key without one: give it an invalid value.
    private mutating func completePair(in container: Int) {
        let node = tape.nodes[container]
        guard node.kind == .mapping, node.length % 2 == 1 else { return }
        let index = UInt32(tape.nodes.count)
        tape.nodes[container].length += 1
        tape.nodes.append(YAMLTape.Node(kind: .invalid, mark: node.mark, offset: 0, length: 0, end: index + 1))
    }

    // MARK: What is not accepted

    private mutating func checkProperties(anchor: Bool, tag: Bool, _ mark: YAMLMark) {
        if anchor { refuse("anchor", "anchors are not accepted", "write the value out where it is needed", mark) }
        if tag { refuse("tag", "explicit tags are not accepted", "remove the word that starts with '!'", mark) }
    }

    private mutating func checkDuplicates(in mapping: Int) {
        let pairs = Int(tape.nodes[mapping].length) / 2
        guard pairs > 1 else { return }
        var keys: [Int] = []
        keys.reserveCapacity(pairs)
        tape.forEachPair(of: mapping) { key, _ in keys.append(key) }
        if pairs <= 12 {
            for later in 1..<keys.count {
                for earlier in 0..<later where same(keys[earlier], keys[later]) {
                    duplicate(keys[later], of: keys[earlier])
                    break
                }
            }
        } else {
            var seen: [ArraySlice<UInt8>: Int] = [:]
            seen.reserveCapacity(pairs)
            for key in keys where tape.nodes[key].isScalar {
                if let earlier = seen[tape.bytes(of: key)] {
                    duplicate(key, of: earlier)
                    if problems.count > YAMLParser.maxProblems { return }
                } else {
                    seen[tape.bytes(of: key)] = key
                }
            }
        }
    }

    private func same(_ first: Int, _ second: Int) -> Bool {
        let (left, right) = (tape.nodes[first], tape.nodes[second])
        guard left.length == right.length, left.isScalar, right.isScalar else { return false }
        for offset in 0..<Int(left.length)
        where tape.text[Int(left.offset) + offset] != tape.text[Int(right.offset) + offset] {
            return false
        }
        return true
    }

    private mutating func duplicate(_ key: Int, of earlier: Int) {
        let name = tape.string(of: key).cut(utf8: 80)
        var problem = YAMLProblem(
            code: "duplicate-key",
            message: "'\(name)' is set twice",
            hint: "keep one of them",
            mark: tape.nodes[key].mark
        )
        let first = tape.nodes[earlier].mark
        problem.message += " (first on line \(first.line))"
        problem.related = YAMLProblem.Related(mark: first, message: "first set here")
        problems.append(problem)
    }

    private mutating func refuse(_ code: String, _ message: String, _ hint: String?, _ mark: YAMLMark) {
        problems.append(YAMLProblem(code: code, message: message, hint: hint, mark: mark))
    }

    private func mark(_ mark: yaml_mark_t) -> YAMLMark {
        YAMLMark(
            line: UInt32(truncatingIfNeeded: mark.line) + 1,
            column: UInt32(truncatingIfNeeded: mark.column) + 1
        )
    }
}
