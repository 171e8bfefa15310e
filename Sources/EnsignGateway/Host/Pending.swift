package import EnsignSystem
package import EnsignMCP
package import EnsignModel

package final class WebUpstream: Upstream {
    package init(_ url: String, secrets: @escaping UpstreamSecrets, version: String) {}
    package func listing(within time: Duration) throws(UpstreamFailure) -> ServerListing {
        throw UpstreamFailure(.unreachable, "not yet")
    }
    package func call(_ call: UpstreamCall) -> UpstreamOutcome { .notSent(UpstreamFailure(.unreachable, "not yet")) }
    package func end() {}
}
package struct SocketHello { package init(agent: AgentID?, key: String?, run: String?, token: String?) {} }
package enum SocketConnector {
    package enum End { case done, refused(String) }
    package static func run(path: String, hello: SocketHello, version: String) -> End { .done }
    package static func ask(_ path: String, _ wanted: JSONObject) throws(SystemError) -> JSONValue { .null }
}
package final class SocketFront: Sendable {
    package init(
        _ path: String,
        gatekeeper: any Gatekeeper,
        version: String,
        admin: @Sendable (JSONObject, UInt32) -> JSONValue
    ) throws {}
    package func stop() {}
}
