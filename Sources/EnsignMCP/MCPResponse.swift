package import EnsignModel

/// What a message says that answers a request (JSON-RPC 2.0, section 5): a result, or an error. A member that is null is not
/// there, as several servers write the one of the two that they do not mean.
package enum MCPResponse: Sendable, Hashable {
    case result(JSONValue)
    case error(code: Int64, message: String)
    /// Neither, both, or an error that is none: it says nothing of what was done.
    case malformed

    package init(_ message: JSONObject) {
        let result = message["result"].flatMap { $0.isNull ? nil : $0 }
        let error = message["error"].flatMap { $0.isNull ? nil : $0 }
        switch (result, error, error?.object) {
        case (let result?, nil, _): self = .result(result)
        case (nil, _?, let error?):
            self = .error(code: error["code"]?.int ?? 0, message: error["message"]?.string ?? "")
        default: self = .malformed
        }
    }
}
