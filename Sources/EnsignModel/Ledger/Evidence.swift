/// Why a change was made, for whoever reads the ledger later. docs/formats/ledger.md lists the fields of its JSON.
///
/// Reading loses nothing: evidence that was read is written as it was.
package struct Evidence: Sendable, Hashable {
    /// The state file that follows; nil when there is nothing to remember.
    package var state: AgentState?
    /// In a sentence.
    package var reason: String?
    /// The name under which the agent goes on, of one that gives up its own.
    package var successor: AgentID?
    package var by: String?
    package var at: Timestamp?
    /// The judge's verdict on the canary that ends here; nil when it was not asked.
    package var verdict: Verdict?
    package var analysis: JudgeReport?
    /// Digests that lost their last route although the change does not start from them.
    package var replaced: [Digest]
    /// Commits that the new commits say they revert.
    package var reverts: [ObjectID]
    package var rule: BrokenRule?
    package var recordedLate: Late?
    package var activityAfterHalt: Activity?
    package var fleet: FleetStop?
    package var behaviour: DriftedBehaviour?
    package var repair: RepairedFile?
    /// That the version was stable elsewhere for as long as this environment asks.
    package var soak: Soak?
    /// That a person let it past a rule that would have held it.
    package var override: Override?
    /// Of a change of the environment's own rules.
    package var rules: RuleChanges?
    /// Of a change of a file that belongs to no agent.
    package var file: LiveFile?
    /// The JSON that was read.
    var asRead: JSONObject?

    package init(
        reason: String? = nil,
        by: String? = nil,
        verdict: Verdict? = nil,
        analysis: JudgeReport? = nil,
        replaced: [Digest] = [],
        fleet: FleetStop? = nil,
        behaviour: DriftedBehaviour? = nil,
        repair: RepairedFile? = nil
    ) {
        self.reason = reason
        self.by = by
        self.verdict = verdict
        self.analysis = analysis
        self.replaced = replaced
        self.reverts = []
        self.fleet = fleet
        self.behaviour = behaviour
        self.repair = repair
    }

    /// A rule of the kill switch that was broken.
    package struct BrokenRule: Sendable, Hashable {
        package var name: String
        /// What was counted; nil for a rule that counts nothing.
        package var observed: Double?

        package init(name: String, observed: Double?) {
            self.name = name
            self.observed = observed
        }
    }

    /// An entry that was delayed.
    package struct Late: Sendable, Hashable {
        package var seconds: Int64
        package var because: String

        package init(seconds: Int64, because: String) {
            self.seconds = seconds
            self.because = because
        }
    }

    /// What an agent did although it is halted.
    package struct Activity: Sendable, Hashable {
        package var what: String
        package var at: Timestamp

        package init(what: String, at: Timestamp) {
            self.what = what
            self.at = at
        }
    }

    /// A stop of a team or of everything, or its end.
    package struct FleetStop: Sendable, Hashable {
        /// `everything` or `team <name>`.
        package var scope: String
        /// All that is stopped as a whole from then on; nil when it cannot be read.
        package var halts: FleetHalts?

        package init(scope: String, halts: FleetHalts?) {
            self.scope = scope
            self.halts = halts
        }
    }

    /// A metric of a stable version that has drifted, though nothing was deployed.
    package struct DriftedBehaviour: Sendable, Hashable {
        package var metric: String
        /// Whether the agent is halted because of it.
        package var halts: Bool
        /// Nil where they were not recorded, or cannot be read.
        package var numbers: Numbers?

        package init(metric: String, halts: Bool, numbers: Numbers?) {
            self.metric = metric
            self.halts = halts
            self.numbers = numbers
        }

        package struct Numbers: Sendable, Hashable {
            package var baseline: Baseline
            package var since: Recent
            /// The unit of both values; nil for a rate.
            package var unit: String?

            package init(baseline: Baseline, since: Recent, unit: String?) {
                self.baseline = baseline
                self.since = since
                self.unit = unit
            }

            /// What it was when the version became stable. The value has nine significant digits.
            package struct Baseline: Sendable, Hashable {
                package var value: Double
                package var samples: Double
                package var from: Timestamp?
                package var until: Timestamp?

                package init(value: Double, samples: Double, from: Timestamp?, until: Timestamp?) {
                    self.value = value
                    self.samples = samples
                    self.from = from
                    self.until = until
                }
            }

            /// What it is now: the value of about the last 32 samples, and how many came since the baseline.
            package struct Recent: Sendable, Hashable {
                package var value: Double
                package var samples: Double
                package var rejected: Double

                package init(value: Double, samples: Double, rejected: Double) {
                    self.value = value
                    self.samples = samples
                    self.rejected = rejected
                }
            }
        }
    }

    /// What the ledger of the environment that versions come from said when this one let a version in.
    package struct Soak: Sendable, Hashable {
        package var environment: String
        /// The newest entry of that ledger which was looked at.
        package var entry: ObjectID
        /// Since when the version has been stable there.
        package var since: Timestamp

        package init(environment: String, entry: ObjectID, since: Timestamp) {
            self.environment = environment
            self.entry = entry
            self.since = since
        }
    }

    /// A person's decision to let a change past a rule. Who it was, the entry's actor says.
    package struct Override: Sendable, Hashable {
        /// In their words.
        package var reason: String

        package init(reason: String) {
            self.reason = reason
        }
    }

    /// The fields of `environment.yaml` that a commit has changed, by name (``Environment/rules``), sorted.
    package struct RuleChanges: Sendable, Hashable {
        package var fields: JSONObject

        /// What differs from one environment's rules to another's; nil when nothing does.
        package init?(from old: JSONObject, to new: JSONObject) {
            var fields = JSONObject()
            for name in Set(old.map(\.key)).union(new.map(\.key)) {
                let (was, now) = (old[name] ?? .null, new[name] ?? .null)
                if was != now { fields[name] = ["from": was, "to": now] }
            }
            guard !fields.isEmpty else { return nil }
            self.fields = fields
        }

        init?(_ json: JSONValue) {
            guard let fields = json.object, !fields.isEmpty,
                fields.allSatisfy({ $0.value["from"] != nil && $0.value["to"] != nil })
            else { return nil }
            self.fields = fields
        }

        package var names: [String] { fields.map(\.key) }

        package static func == (a: RuleChanges, b: RuleChanges) -> Bool {
            JSONValue.object(a.fields) == .object(b.fields)
        }

        package func hash(into hasher: inout Hasher) { hasher.combine(JSONValue.object(fields)) }
    }

    /// A file of the live directory that belongs to no agent.
    package struct LiveFile: Sendable, Hashable {
        /// See ``LivePath/isShared(_:)``.
        package var path: String
        /// Of its bytes from then on; nil when it is gone.
        package var digest: Digest?

        package init(path: String, digest: Digest?) {
            self.path = path
            self.digest = digest
        }
    }

    /// A live file that was not what is recorded.
    package struct RepairedFile: Sendable, Hashable {
        package var path: String
        /// `edited`, `removed` and so on; docs/formats/live-directory.md says what each means.
        package var found: String
        /// In bytes, of what was found; nil when nothing was.
        package var size: Int64?

        package init(path: String, found: String, size: Int64?) {
            self.path = path
            self.found = found
            self.size = size
        }
    }
}
