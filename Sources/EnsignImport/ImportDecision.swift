import EnsignManifest
package import EnsignModel

/// Something that an import could not know, for a person to decide.
package struct ImportDecision: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable {
        /// Written as a guess, marked in the manifest.
        case guess
        /// Left out of the manifest, because it cannot be as it is.
        case leftOut = "left-out"
        /// Has no place in a manifest.
        case noPlace = "no-place"
        /// Worth a look.
        case look
    }

    package let kind: Kind
    /// The operation, agent or field that it is about; nil for the whole.
    package let subject: String?
    /// One sentence without a full stop, printable.
    package let message: String
    /// Where the source has it, `FILE:LINE:COLUMN`; nil where that is not known.
    package var place: String?

    package init(_ kind: Kind, _ subject: String? = nil, _ message: String) {
        self.kind = kind
        // What a source says may have a secret in it.
        self.subject = subject.map { LiteralSecrets.hidden($0).onOneLine(utf8: 140) }
        self.message = LiteralSecrets.hidden(message).onOneLine(utf8: 600)
    }

    package var json: JSONValue {
        [
            "kind": .string(kind.rawValue), "subject": subject.map { .string($0) } ?? .null,
            "message": .string(message), "place": place.map { .string($0) } ?? .null,
        ]
    }

    package var text: String { [place, subject, message].compactMap { $0 }.joined(separator: ": ") }
}

/// One difference between what is declared and what the source says now, in words.
package struct ImportDifference: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable {
        case added, changed, removed
    }

    package let kind: Kind
    package let subject: String
    /// Each in a few words; empty for what is wholly new or gone.
    package let details: [String]

    package init(_ kind: Kind, _ subject: String, _ details: [String] = []) {
        self.kind = kind
        self.subject = LiteralSecrets.hidden(subject).onOneLine(utf8: 140)
        self.details = details.map { LiteralSecrets.hidden($0).onOneLine(utf8: 300) }
    }

    package var json: JSONValue {
        [
            "kind": .string(kind.rawValue), "subject": .string(subject),
            "details": .array(details.map { .string($0) }),
        ]
    }

    package var text: String {
        let sign =
            switch kind {
            case .added: "+"
            case .changed: "~"
            case .removed: "-"
            }
        return "\(sign) \(subject)" + (details.isEmpty ? "" : ": \(details.joined(separator: "; "))")
    }
}
