package import EnsignModel
import EnsignPolicy

/// Puts the proof on what one entry publishes.
package struct LiveSeal: Sendable {
    private let key: LedgerKey
    private let entry: Int64

    /// - Parameter entry: The `seq` of the intent that announces it; of a halt, its own.
    package init(key: LedgerKey, entry: Int64) {
        self.key = key
        self.entry = entry
    }

    /// The bytes of a file: the same for the same value, whoever asks again.
    package func file(_ value: JSONObject) -> [UInt8] {
        LiveProof.sign(value, entry: entry) { key.sign($0, namespace: LiveProof.namespace) }
    }

    package func route(_ route: Route) -> [UInt8] { file(route.members) }
}
