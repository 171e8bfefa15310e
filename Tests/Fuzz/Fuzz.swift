import EnsignModel
import Glibc

/// What libFuzzer calls with one input after the other. `ENSIGN_FUZZ_PARSER` names the parser; what does not hold traps.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    parser(unsafe Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}

/// Chosen once: the environment does not change.
private let parser: @Sendable ([UInt8]) -> Void = {
    let name = unsafe getenv("ENSIGN_FUZZ_PARSER").map { unsafe String(cString: $0) } ?? ""
    guard let parser = parsers[name] else {
        print("ENSIGN_FUZZ_PARSER is one of \(parsers.keys.sorted().joined(separator: " "))")
        exit(64)
    }
    return parser
}()

/// The parsers by name. Each takes any bytes, and checks what it promises.
private let parsers: [String: @Sendable ([UInt8]) -> Void] = [
    "yaml": yaml,
    "manifests": manifests,
    "rules": rules,
    "gateway-file": gatewayFile,
    "json": json,
    "schemas": schemas,
    "commits": commits,
    "trees": trees,
    "signatures": signatures,
    "signers": signers,
    "entries": entries,
    "states": states,
    "live": live,
    "otlp": otlp,
    "checkpoints": checkpoints,
    "messages": messages,
    "gateway-records": gatewayRecords,
    "foreign": foreign,
]

/// Traps when something does not hold.
func must(_ holds: Bool, _ rule: @autoclosure () -> String) {
    if !holds { fatalError(rule()) }
}

/// What was read is written, and read again: it is the same.
func mustReturn<Value: Equatable>(_ value: Value, _ json: JSONValue, _ read: (JSONValue) -> Value?) {
    must(read(json) == value, "\(Value.self) is another one when it is read again: \(json)")
}

/// As `mustReturn`, where values cannot be compared: what is written twice is the same.
func mustSettle<Value>(_ value: Value, _ json: (Value) -> JSONValue, _ read: (JSONValue) -> Value?) {
    let written = json(value)
    guard let again = read(written) else { fatalError("\(Value.self) cannot be read again: \(written)") }
    must(json(again) == written, "\(Value.self) does not settle: \(written)")
}
