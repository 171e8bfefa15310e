import EnsignJSON
import EnsignModel

/// What is said of changes of the list of tools, in both eras (2025-11-25, "Tools"; 2026-07-28, "Subscriptions").
enum ListChange {
    private static let members: JSONObject = ["jsonrpc": "2.0", "method": "notifications/tools/list_changed"]

    /// For who has agreed on a version.
    static let message = JSONValue.object(members)

    /// For one who listens.
    static func message(for id: JSONValue) -> JSONValue {
        var message = members
        message["params"] = ["_meta": [ProtocolVersion.Meta.subscription: id]]
        return .object(message)
    }

    /// Who a line of the gateway says is subscribed from now on; nil for every other line.
    static func subscriber(of line: [UInt8]) -> JSONValue? {
        // It writes canonical JSON: nothing of other lines is read.
        guard line.starts(with: #"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged""#.utf8),
            let parameters = (try? JSONParser.parse(line))?["params"],
            parameters["notifications"]?["toolsListChanged"] == true
        else { return nil }
        return parameters["_meta"]?[ProtocolVersion.Meta.subscription]
    }

    /// What a listener is told first: what it gets of that which it has asked for.
    static func acknowledged(_ id: JSONValue, isSubscribed: Bool) -> JSONValue {
        [
            "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
            "params": [
                "_meta": [ProtocolVersion.Meta.subscription: id],
                "notifications": isSubscribed ? ["toolsListChanged": true] : [:],
            ],
        ]
    }
}
