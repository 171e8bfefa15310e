import EnsignCommandLine
import EnsignHost
import EnsignModel
import EnsignQueries
import EnsignReconciler
import EnsignTargets

extension Verb {
    static let drift = Verb(
        name: "drift",
        group: .ask,
        summary: "Compare every live file with what is recorded",
        discussion: "Reads the whole live directory and changes nothing. The next reconcile repairs what is listed.",
        options: [.environment, Option(name: "detailed-exitcode", summary: "Exit with 2 when there is drift")],
        formats: [.text, .json],
        examples: [Example(command: "ensign drift --env prod", meaning: "what somebody changed by hand")],
        output: .answer
    ) { invocation in
        let site = try invocation.site()
        let environment = try invocation.environment()
        guard site.reconciles else {
            throw Refusal(
                message: "this clone has no live directory to compare",
                hints: ["run it where the fleet is hosted"]
            )
        }
        try invocation.requireKnown(environment, site)
        let report = try DriftReport.make(site, environment)
        let found = report.files
        if invocation.format == .json {
            invocation.json(report.json)
        } else {
            for file in found {
                invocation.console.line("\(environment): \(file.found.rawValue)  \(file.path.onOneLine)")
            }
            if !invocation.isQuiet {
                invocation.console.note(
                    found.isEmpty
                        ? "\(environment): no drift"
                        : "\(environment): \(counted(found.count, "file")) not as recorded; 'ensign reconcile --env \(environment) --observe all' repairs them"
                )
            }
        }
        return invocation.has("detailed-exitcode") && !found.isEmpty ? .differences : .done
    }
}
