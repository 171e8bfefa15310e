package import EnsignHost
import EnsignManifest
package import EnsignModel

extension FleetValidation {
    package var json: JSONValue {
        [
            "v": 1, "valid": .bool(errors == 0), "errors": .integer(Int64(errors)),
            "warnings": .integer(Int64(warnings)), "findings": .array(findings.map(\.json)),
            "counts": [
                "agents": .integer(Int64(counts.agents)), "versions": .integer(Int64(counts.versions)),
                "tools": .integer(Int64(counts.tools)), "environments": .integer(Int64(counts.environments)),
                "deployments": .integer(Int64(counts.deployments)),
            ],
        ]
    }
}
