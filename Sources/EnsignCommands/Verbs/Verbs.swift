import EnsignCommandLine

/// Every verb, in the order of the overview.
enum Verbs {
    static let all: [Verb] = [
        .new, .importing, .validate, .plan, .release, .promote, .propose, .tighten, .rollback, .schema,
        .reconcile, .rollout, .watch, .halt, .resume, .notify,
        .status, .get, .diff, .route, .whoCan, .check, .judge, .evidence, .telemetry, .discover,
        .drift, .gateway, .dev,
        .log, .verify, .keys,
        .initialise, .hook, .completion(of: App.name, .setUp), .version,
    ]
}
