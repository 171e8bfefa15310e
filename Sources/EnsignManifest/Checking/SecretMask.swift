import EnsignModel

/// Takes secrets that were found in a manifest out of what is said about it.
///
/// A message may show a part of a long text, so any piece of a secret is hidden that is long enough to be told from
/// words.
struct SecretMask: Sendable {
    /// The shortest piece of a longer secret that is hidden. A shorter secret is hidden as a whole.
    private static let piece = 12
    /// A shorter secret may be a part of any word: it is hidden only between quotes.
    private static let least = 8
    /// How much of a secret is remembered: no message shows more.
    private static let most = 2 * Finding.maxText

    private var pieces: Set<ArraySlice<UInt8>> = []
    private var quoted: Set<String> = []

    var isEmpty: Bool { pieces.isEmpty && quoted.isEmpty }

    mutating func add(_ secret: some Collection<UInt8>) {
        let secret = ContiguousArray(secret.prefix(Self.most))
        guard secret.count >= Self.least else {
            if !secret.isEmpty { quoted.insert("'\(String(decoding: secret, as: UTF8.self))'") }
            return
        }
        let size = min(secret.count, Self.piece)
        for start in 0...(secret.count - size) { pieces.insert(ArraySlice(secret[start..<(start + size)])) }
    }

    mutating func formUnion(_ other: SecretMask) {
        guard !other.isEmpty else { return }
        pieces.formUnion(other.pieces)
        quoted.formUnion(other.quoted)
    }

    /// A text with `***` for each piece of a secret in it.
    func hide(_ text: String) -> String {
        guard !isEmpty else { return text }
        var result = text
        for secret in quoted { result = result.replacing(secret, with: "'***'") }
        let bytes = Array(result.utf8)
        var isHidden = [Bool](repeating: false, count: bytes.count)
        for size in Self.least...Self.piece where size <= bytes.count {
            for start in 0...(bytes.count - size) where pieces.contains(bytes[start..<(start + size)]) {
                for index in start..<(start + size) { isHidden[index] = true }
            }
        }
        guard isHidden.contains(true) else { return result }
        var shown: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if !isHidden[index] {
                shown.append(byte)
            } else if index == 0 || !isHidden[index - 1] {
                shown += Array("***".utf8)
            }
        }
        return String(decoding: shown, as: UTF8.self)
    }

    /// The same of all that a finding says.
    func hide(_ finding: Finding) -> Finding {
        guard !isEmpty else { return finding }
        var hidden = finding
        hidden.message = hide(finding.message)
        hidden.hint = finding.hint.map(hide)
        for index in hidden.notes.indices { hidden.notes[index].message = hide(hidden.notes[index].message) }
        return hidden
    }
}
