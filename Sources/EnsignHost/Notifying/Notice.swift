package import EnsignModel

/// What an operator wants to know: the reasons to run `ensign.notify` for an entry.
package enum Notice: String, Sendable, CaseIterable {
    case rollback, halt, refused, drift, failed
    /// Of no entry: the forge cannot be fetched from, does not take the ledger, or works again.
    case forge

    /// The reasons that an entry gives; none for most. An intent gives none: its outcome or recovery follows.
    package static func of(_ entry: Entry) -> [Notice] {
        switch entry.kind {
        case .genesis, .intent, .key, .resume: return []
        case .refused: return [.refused]
        case .drift: return [.drift]
        case .halt: return [.halt]
        case .outcome, .recovery:
            var notices: [Notice] = []
            if entry.counts[Change.Action.rollback.rawValue, default: 0] > 0 { notices.append(.rollback) }
            if entry.counts[Change.Action.halt.rawValue, default: 0] > 0 { notices.append(.halt) }
            switch entry.result {
            case .failed, .partial: notices.append(.failed)
            case .pending, .ok: break
            }
            return notices
        }
    }
}
