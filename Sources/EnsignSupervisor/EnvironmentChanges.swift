import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignReconciler
import EnsignSystem

/// What changes around one environment: its refs, its live directory, its halts, and what other services found.
struct EnvironmentChanges {
    let site: Site
    private let environment: WatchedEnvironment
    private let service: Service
    private let desk: EnvironmentDesk
    private let live: String
    private let monitor: ChangeMonitor

    /// What a wait has seen.
    struct News {
        /// Whether anything may have changed.
        var everything = false
        /// The live folders in which something happened.
        var folders: Set<String> = []

        static let nothing = News()
        static let anything = News(everything: true)

        /// Both together.
        func and(_ other: News?) -> News {
            News(everything: everything || other?.everything == true, folders: folders.union(other?.folders ?? []))
        }
    }

    init(_ environment: WatchedEnvironment, _ service: Service, _ desk: EnvironmentDesk) throws {
        site = try environment.open()
        live = try site.settings.directory(environment.name, site.files)
        self.environment = environment
        self.service = service
        self.desk = desk
        monitor = environment.monitor(waking: service)
    }

    /// Why changes are not seen; nil when all goes well.
    var blindness: SystemError? { monitor.blindness }

    /// Watches what is there now; what is watched already costs little.
    func watch() throws {
        let common = site.commonDirectory
        do {
            try monitor.watch(String(common.dropLast()))
            try monitor.watch(site.files.haltsFolder)
            // Every folder on the way to the ref: git makes and removes them as branches come and go.
            for folder in site.refFolders { try monitor.watch(folder) }
            try monitor.watch(live)
            for top in [LivePath.agents, LivePath.bundles] {
                try monitor.watch("\(live)/\(top)")
                for name in try Files.list("\(live)/\(top)") ?? [] { try monitor.watch("\(live)/\(top)/\(name)") }
            }
        } catch {
            // The monitor is blind now, which is said. Drift is still found by the rotating slice.
        }
    }

    /// Waits for a change that matters.
    ///
    /// - Parameters:
    ///   - untilTelemetry: Whether a canary is under way that could not be judged yet, without the pipeline.
    ///   - header: `fleet.json` as the last run wrote it: to find that is not news.
    ///   - calm: For how long changes of live files are gathered before they count. Refs and halts count at once.
    func wait(
        untilTelemetry: Bool = false,
        header: [UInt8]? = nil,
        calm: Duration = .zero,
        atMost time: Duration
    ) throws -> News {
        let start = ContinuousClock.now
        let deadline = start + (monitor.isBlind ? min(time, .seconds(2)) : time)
        var gathered: News?
        while !service.isStopped {
            let left = (gathered == nil ? deadline : min(deadline, start + calm)) - ContinuousClock.now
            guard left > .zero, !untilTelemetry || desk.pipeline == nil else { break }
            guard service.wait(atMost: left).isWoken else { break }
            if desk.hasAnswers || desk.pipeline?.hasDrifts == true { break }
            guard let events = try monitor.events() else { return .anything }
            guard let (news, isUrgent) = try news(in: events, header) else { continue }
            gathered = news.and(gathered)
            if isUrgent || ContinuousClock.now >= start + calm { break }
        }
        return gathered ?? .nothing
    }

    /// - Returns: nil when nothing of it matters; and whether it is more than live files.
    private func news(in events: [ChangeMonitor.Event], _ header: [UInt8]?) throws -> (News, isUrgent: Bool)? {
        var news = News()
        var isUrgent = false
        for event in events where !event.name.hasSuffix(".lock") && !event.name.hasPrefix(LivePath.temporaryPrefix) {
            if event.folder == live, event.name == LivePath.header, let header,
                try Files.read("\(live)/\(LivePath.header)", limit: 65_536) == header
            {
                continue
            }
            if event.folder == live || event.folder.hasPrefix(live + "/") {
                news.folders.insert(String(event.folder.dropFirst(live.count + 1)))
            } else if event.folder.hasSuffix("/refs") || event.folder.contains("/refs/")
                || event.name == "packed-refs"
                || event.folder == site.files.haltsFolder && event.name == environment.name
            {
                isUrgent = true
            }
            if event.isNewFolder { try watch() }
        }
        return isUrgent || !news.folders.isEmpty ? (news, isUrgent) : nil
    }
}

extension Site {
    /// Every folder on the way to the desired ref, from `refs` on.
    var refFolders: [String] {
        var folders = [commonDirectory + "refs"]
        for part in settings.desiredRef.split(separator: "/").dropFirst().dropLast() {
            folders.append("\(folders.last ?? "")/\(part)")
        }
        return folders
    }
}
