import EnsignModel

/// Selectors of a need or a grant that mean nothing: as wrong as the name of an operation that is not there.
enum EmptySelection {
    static let code = "empty-selection"

    struct Problem: Hashable {
        /// To be followed by `of tool ...`.
        var message: String
        var hint: String
        var position: Position
    }

    /// - Returns: One problem for each selector without an operation in this version of the tool, or one for the whole
    ///   where exceptions leave nothing.
    static func problems(_ selection: OperationSelection, _ operations: [String: Operation]) -> [Problem] {
        let empty = selection.included.filter { selector in
            selector.value.name == nil && !operations.contains { selector.value.selects($0.key, $0.value) }
        }
        if !empty.isEmpty {
            return empty.map { selector in
                let kinds = Set(operations.values.map { "{access: \($0.access.rawValue), risk: \($0.risk.rawValue)}" })
                return Problem(
                    message: "\(selector.value.text) selects no operation",
                    hint: "its operations are \(kinds.sorted().joined(separator: ", "))",
                    position: selector.position
                )
            }
        }
        let exists = selection.included.contains { selector in
            selector.value.name.map { operations[$0] != nil } ?? true
        }
        guard exists, let first = selection.excepted.first, selection.selected(from: operations).isEmpty else {
            return []
        }
        return [
            Problem(
                message: "'except' leaves out every operation that is selected",
                hint: "remove the whole, or what is left out too much",
                position: first.position
            )
        ]
    }
}
