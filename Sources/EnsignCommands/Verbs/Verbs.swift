/// Every verb, in the order of the overview.
enum Verbs {
    static let all: [Verb] = [
        .validate, .plan, .release, .promote, .rollback, .schema,
        .reconcile,
        .status, .get, .route, .drift,
        .log, .verify, .keys,
        .initialise, .hook, .version,
    ]
}
