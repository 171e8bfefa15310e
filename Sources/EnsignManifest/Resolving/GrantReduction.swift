import EnsignModel

/// How a deployment's grants are written without some operations.
package struct GrantReduction: Sendable {
    /// By the grant's place in the deployment.
    package private(set) var changes: [Int: GrantEdit.Change] = [:]
    /// Operations that cannot be taken out here, because a role grants them; by `<tool>.<operation>`.
    package private(set) var roles: [String: String] = [:]

    /// - Parameter operations: `<tool>.<operation>`.
    package init(_ resolved: ResolvedDeployment, removing operations: Set<String>) {
        for permission in resolved.permissions {
            if let role = permission.origin.role { roles["\(permission.tool).\(permission.operation)"] = role }
        }
        for (index, grant) in resolved.deployment.grants.enumerated() {
            guard let tool = resolved.tools[grant.tool.value] else { continue }
            let given = grant.operations.selected(from: tool.value.operations).map(\.value).filter(tool.needs)
            let gone = given.filter { operations.contains("\(tool.name).\($0)") && roles["\(tool.name).\($0)"] == nil }
            guard !gone.isEmpty else { continue }
            let left = given.filter { !gone.contains($0) }
            changes[index] =
                left.isEmpty ? .remove : .select(Self.selection(grant.operations, without: gone, left, tool.value))
        }
    }

    /// A selection without some of what it selects. Names are taken out. What only a selector selects is left out by
    /// `except`, or the selector gives way to names where those are fewer.
    private static func selection(
        _ selection: OperationSelection,
        without gone: [String],
        _ left: [String],
        _ tool: Tool
    ) -> OperationSelection {
        var result = selection
        result.included.removeAll { $0.value.name.map(gone.contains) ?? false }
        let still = Set(result.selected(from: tool.operations).map(\.value)).intersection(gone).sorted()
        guard !still.isEmpty, let place = result.included.first?.position else { return result }
        if left.count > still.count {
            result.excepted += still.map { Located(.name($0), at: place) }
        } else {
            let names = result.included.filter { $0.value.name != nil }
            let named = Set(names.compactMap(\.value.name))
            // New names have no place in the text yet.
            result.included = names + left.filter { !named.contains($0) }.map { Located(.name($0), at: .start) }
        }
        return result
    }
}
