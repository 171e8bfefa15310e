package import EnsignMCP
import EnsignModel

package final class WebUpstream: Upstream {
    package init(_ url: String, secrets: @escaping UpstreamSecrets, version: String) {}
    package func listing(within time: Duration) throws(UpstreamFailure) -> ServerListing {
        throw UpstreamFailure(.unreachable, "not yet")
    }
    package func call(_ call: UpstreamCall) -> UpstreamOutcome { .notSent(UpstreamFailure(.unreachable, "not yet")) }
    package func end() {}
}
