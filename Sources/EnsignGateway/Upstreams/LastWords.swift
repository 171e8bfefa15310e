/// The end of what a program writes to standard error.
struct LastWords: Sendable {
    private let most: Int
    private var bytes: [UInt8] = []
    private var isCut = false

    /// - Parameter most: The most bytes that are kept.
    init(most: Int) { self.most = most }

    mutating func add(_ chunk: ArraySlice<UInt8>) {
        bytes += chunk
        guard bytes.count > most else { return }
        bytes.removeFirst(bytes.count - most)
        isCut = true
    }

    /// Whole lines where the beginning is gone: half of a secret could not be told from other text.
    var lines: [UInt8] {
        guard isCut else { return bytes }
        return bytes.firstIndex(of: 0x0A).map { Array(bytes[($0 + 1)...]) } ?? []
    }
}
