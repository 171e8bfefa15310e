/// Every verb, in the order of the overview.
enum Verbs {
    static let all: [Verb] = [
        .validate, .plan,
        .reconcile,
        .status, .drift,
        .log, .verify, .keys,
        .initialise, .hook, .version,
    ]
}
