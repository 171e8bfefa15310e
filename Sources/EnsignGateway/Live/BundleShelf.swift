import EnsignModel
import EnsignPolicy
import EnsignSystem

/// A bundle that was proven, and the file that it is in.
struct ShelvedBundle: Sendable {
    var bundle: PreparedBundle
    var place: LiveFiles.Place
    /// What its file is for as long as nobody touches it; nil where a change might not show.
    var mark: FileStatus?
    /// The bytes of its file.
    var size: Int
}

/// The bundles that were used last, up to so many bytes of their files.
struct BundleShelf {
    private var bundles: [Digest: (bundle: ShelvedBundle, used: UInt64)] = [:]
    private var total = 0
    private var uses: UInt64 = 0

    static let most = 16 << 20

    mutating func take(_ digest: Digest) -> ShelvedBundle? {
        uses += 1
        bundles[digest]?.used = uses
        return bundles[digest]?.bundle
    }

    mutating func put(_ bundle: ShelvedBundle) {
        let own = bundle.bundle.digest
        uses += 1
        total += bundle.size - (bundles[own]?.bundle.size ?? 0)
        bundles[own] = (bundle, uses)
        guard total > Self.most else { return }
        // Half of it at once: looking for the oldest costs as much as there are.
        for (digest, entry) in bundles.sorted(by: { $0.value.used < $1.value.used }) {
            guard total > Self.most / 2, digest != own else { break }
            bundles[digest] = nil
            total -= entry.bundle.size
        }
    }
}
