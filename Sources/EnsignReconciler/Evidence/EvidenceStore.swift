package import EnsignHost
import EnsignJSON
package import EnsignJudge
import EnsignLedger
package import EnsignModel
import EnsignPlanner
import EnsignSystem

/// Where the judge keeps what it has counted, between runs. All of it is a cache: without it, counting starts again.
package enum EvidenceStore {
    /// Beside the telemetry that it was counted from.
    case pipeline(TelemetryPipeline)
    /// Where there is no telemetry: `<git dir>/ensign/cache/<env>/analysis`. Changed under the environment's lock.
    case file(String)
    /// What was written down, for looking at it: nothing is kept.
    case memory(JSONValue)

    private static let limit = 1 << 28

    /// - Returns: Nil when there is telemetry that another process reads: it has the state too.
    package init?(_ site: Site, _ environment: String, _ telemetry: TelemetryPipeline?) throws {
        if let telemetry {
            self = .pipeline(telemetry)
        } else if try site.settings.telemetry(environment) == nil {
            self = .file(site.files.analysis(environment))
        } else {
            return nil
        }
    }

    /// What a reconcile would find now, for looking at it: what was written down, and telemetry that came since. Nothing
    /// is changed.
    ///
    /// - Returns: The store; nil where it cannot be read now. And agents that the kill switch is about to stop, in
    ///   sentences.
    static func looking(_ site: Site, _ environment: String) throws -> (store: EvidenceStore?, stops: [String]) {
        guard try site.settings.telemetry(environment) != nil else {
            return (.memory(read(site.files.analysis(environment)) ?? .null), [])
        }
        do {
            guard let pipeline = try TelemetryPipeline.glance(site, environment) else { return (nil, []) }
            let (isComplete, trips) = try pipeline.glance(TelemetryBook(site: site, environment: environment))
            let behind = isComplete ? [] : ["telemetry is behind: what was read so far counts here"]
            return (
                .pipeline(pipeline), trips.map { "the kill switch stops \($0.agent) first: \($0.sentence)" } + behind
            )
        } catch {
            return (nil, ["telemetry was not read: \(error)"])
        }
    }

    /// The state as it is now; null when there is none, or none that can be read.
    var state: JSONValue {
        switch self {
        case .pipeline(let pipeline): pipeline.consumerState
        case .file(let path): Self.read(path) ?? .null
        case .memory(let state): state
        }
    }

    /// Changes the state together with the samples that it takes up.
    ///
    /// - Throws: ``SystemError`` when the new state could not be kept; `body` has run.
    func update(_ body: (_ samples: [Sample], _ state: inout JSONValue) -> Void) throws {
        switch self {
        case .pipeline(let pipeline): pipeline.consume(body)
        case .memory(var state): body([], &state)
        case .file(let path):
            let before = state
            var after = before
            body([], &after)
            guard after != before else { return }
            if after.isNull { return try Files.remove(path) }
            if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
            try Files.replace(path, with: after.canonicalBytes() + [0x0A])
        }
    }

    /// What some process has written down, for looking at it.
    package struct Kept {
        var state: JSONValue
        /// What was rejected on the way.
        package var rejections: JSONValue?
        /// Where the guards of stable versions stand.
        package var guards = GuardBook()
    }

    /// - Returns: Nil when there is nothing.
    package static func kept(_ site: Site, _ environment: String) throws -> Kept? {
        guard (try? site.settings.telemetry(environment)) != .some(nil) else {
            return read(site.files.analysis(environment)).map { Kept(state: $0) }
        }
        return read(site.files.telemetry(environment)).map { checkpoint in
            Kept(
                state: checkpoint["consumer"] ?? .null,
                rejections: checkpoint["attribution"]?["rejections"],
                guards: checkpoint["guards"].flatMap { GuardBook(json: $0) } ?? GuardBook()
            )
        }
    }

    private static func read(_ path: String) -> JSONValue? {
        guard let bytes = try? Files.readOwn(path, limit: limit) else { return nil }
        return try? JSONParser.parse(bytes)
    }
}
