package import EnsignManifest
import EnsignModel
package import EnsignPolicy

extension ToolNames {
    /// The names of everything that a fleet's tools declare, in any version, whoever may call it.
    ///
    /// A version that cannot be read has no names here; why it cannot is among the fleet's findings.
    package init(declaredIn fleet: Fleet) throws {
        var operations: [Operation: Set<String>] = [:]
        for tool in try fleet.names(in: "tools", files: false) {
            for version in try fleet.toolVersions(tool) {
                for (name, operation) in try fleet.tool(tool, version)?.value?.operations ?? [:] {
                    operations[Operation(tool: tool, name: name), default: []].formUnion(
                        operation.serverTool.map { [$0] } ?? []
                    )
                }
            }
        }
        self.init(operations)
    }
}
