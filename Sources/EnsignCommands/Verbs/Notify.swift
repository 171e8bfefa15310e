import EnsignCommandLine
import EnsignHost
import EnsignModel
import EnsignReconciler

extension Verb {
    static let notify = Verb(
        name: "notify",
        group: .apply,
        summary: "Run ensign.notify for the entries that wait",
        discussion:
            "Every reconcile does so by itself. Run it to try again at once after the command has failed. Nothing waits in most runs.",
        options: [.environment],
        examples: [Example(command: "ensign notify --env prod", meaning: "what has not reached anybody yet")]
    ) { invocation in
        let site = try invocation.site()
        let environment = try invocation.knownEnvironment(site)
        guard let courier = Courier(site: site, environment: environment) else {
            if !invocation.isQuiet { invocation.console.note("ensign.notify is not set: see docs/notify.md") }
            return .done
        }
        let report = try courier.deliver(onlyDue: false, patience: .seconds(35))
        if !invocation.isQuiet { invocation.console.note("\(environment): \(report.delivered) delivered") }
        if let failure = report.failure { throw Failure(message: "\(environment): notify failed: \(failure)") }
        return .done
    }
}

extension Invocation {
    /// Notifies whoever wants to know, as the last act of a command: what matters is done and said by now.
    func notify(_ environment: String, _ site: Site, detached: Bool = false) {
        guard let courier = Courier(site: site, environment: environment) else { return }
        do {
            if detached { return try courier.deliverDetached(overrides: overrides) }
            guard try courier.hasWork() else { return }
            let report = try courier.deliver(onlyDue: false, patience: .seconds(5))
            if let failure = report.failure {
                console.note(
                    "\(environment): notify failed, and is tried again by the next run: \(failure.onOneLine)"
                )
            }
        } catch {
            // The record is in the ledger; the next run finds it there.
            console.note("\(environment): notify failed: \("\(error)".onOneLine)")
        }
    }
}
