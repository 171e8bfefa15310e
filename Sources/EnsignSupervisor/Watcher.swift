import EnsignGit
package import EnsignHost
import EnsignLedger
package import EnsignModel
import EnsignSystem

/// Keeps environments converged: services for each, one for the forge, and this thread to start and end them.
package struct Watcher {
    private let place: WatchedSite
    private let asked: [String]
    private let actor: Entry.Actor

    /// - Parameter asked: The environments to watch; empty for those that the settings or the commits name.
    package init(
        _ site: Site,
        overrides: [(key: String, value: String)],
        environments asked: [String],
        actor: Entry.Actor,
        report: @escaping @Sendable (WatchEvent) -> Void
    ) {
        // Before the first thread, or it ends the process as long as it has not blocked them itself.
        TerminationSignals.block()
        place = WatchedSite(
            opening: site.repository.opening,
            overrides: overrides,
            commonDirectory: site.commonDirectory,
            report: report
        )
        self.asked = asked
        self.actor = actor
    }

    /// Runs until SIGTERM, SIGINT or SIGHUP. What is under way is finished first.
    ///
    /// - Parameter ready: Called once everything is being watched.
    /// - Throws: ``RepositoryGone`` when the repository is moved away or removed meanwhile.
    package func run(ready: ([String]) -> Void) throws {
        let site = try place.open()
        let service = try Service()
        // Ends with the process: it only waits for signals, and the process ends after the first.
        _ = try Thread {
            _ = TerminationSignals.wait()
            service.stop()
        }
        let hasFetched = Flag()
        let forge = try site.settings.remote == nil ? nil : startForge(hasFetched, waking: service)
        if forge == nil { hasFetched.set() }
        let monitor = ChangeMonitor(place.hub, waking: service)
        var running: [String: EnvironmentWatcher] = [:]
        var isFirst = true
        var isChecked = false
        var failing: [String: String] = [:]
        while !service.isStopped, !place.isGone {
            // One that cannot be watched makes it blind, and is looked at by the clock.
            for folder in [String(site.commonDirectory.dropLast())] + site.refFolders { _ = try? monitor.watch(folder) }
            // An environment with a ledger here goes on with it at once, whether or not the forge answers.
            let here = hasFetched.isSet ? nil : Set(try Ledger.environments(in: site.repository))
            // Only with the forge's branch is it known which there are.
            if hasFetched.isSet, !isChecked {
                for name in asked { try site.require(name, among: site.environmentNames()) }
                isChecked = true
            }
            for environment in names(site) where running[environment] == nil && here?.contains(environment) != false {
                do {
                    running[environment] = try start(environment, forge?.mail)
                    failing[environment] = nil
                } catch {
                    // One that cannot be started does not stop the others; it is tried again.
                    if failing.updateValue("\(error)", forKey: environment) != "\(error)" {
                        place.report(.failed(environment, error))
                    }
                }
            }
            if isFirst, hasFetched.isSet || !running.isEmpty {
                ready(running.keys.sorted())
                isFirst = false
            }
            // A folder above the repository that is renamed is not an event of it.
            let time: Duration = monitor.isBlind || !failing.isEmpty ? .seconds(5) : .seconds(30)
            _ = service.wait(atMost: time)
            _ = try? monitor.events()
        }
        forge?.service.stop()
        for watcher in running.values { watcher.stop() }
        forge?.service.join()
        for watcher in running.values { watcher.join() }
        if !service.isStopped { try place.requireRepository() }
    }

    private func startForge(_ hasFetched: Flag, waking watcher: Service) throws -> (service: Service, mail: ForgeMail) {
        let service = try Service()
        let mail = ForgeMail(service)
        try service.start { [place] in
            ForgeWork(place, service, mail) {
                hasFetched.set()
                watcher.wake()
            }
        }
        return (service, mail)
    }

    private func start(_ environment: String, _ forge: ForgeMail?) throws -> EnvironmentWatcher {
        let watcher = try EnvironmentWatcher(
            WatchedEnvironment(name: environment, place: place),
            actor: actor,
            forge: forge
        )
        try watcher.start()
        return watcher
    }

    private func names(_ site: Site) -> [String] {
        guard asked.isEmpty else { return asked }
        do {
            return try site.environments([])
        } catch {
            // A commit that cannot be read now is looked at again with the next change; what is live goes on without it.
            place.report(.failed("all", error))
            return (try? Ledger.environments(in: site.repository)) ?? []
        }
    }
}
