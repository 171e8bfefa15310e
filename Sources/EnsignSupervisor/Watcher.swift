package import EnsignHost
import EnsignLedger
package import EnsignModel
import EnsignSystem
import Synchronization

/// Keeps environments converged: one thread each, one for the forge, and this one to start and end them.
package struct Watcher {
    private let opening: Site.Opening
    private let overrides: [(key: String, value: String)]
    private let asked: [String]
    private let actor: Entry.Actor
    private let report: @Sendable (WatchEvent) -> Void

    /// - Parameter asked: The environments to watch; empty for those that the settings or the commits name.
    package init(
        opening: Site.Opening,
        overrides: [(key: String, value: String)],
        environments asked: [String],
        actor: Entry.Actor,
        report: @escaping @Sendable (WatchEvent) -> Void
    ) {
        self.opening = opening
        self.overrides = overrides
        self.asked = asked
        self.actor = actor
        self.report = report
    }

    /// Runs until SIGTERM, SIGINT or SIGHUP. What is under way is finished first.
    ///
    /// - Parameter ready: Called once everything is being watched.
    package func run(ready: ([String]) -> Void) throws {
        TerminationSignals.block()
        let site = try Site(opening, overrides: overrides)
        let ending = try Wakeup()
        let isEnding = Flag()
        let fetched = try Wakeup()
        let hasFetched = Flag()
        // Ends with the process: it only waits for signals, and the process ends after the first.
        _ = try Thread {
            _ = TerminationSignals.wait()
            isEnding.set()
            ending.wake()
        }
        var running: [String: (watcher: EnvironmentWatcher, thread: Thread)] = [:]
        var forge: (sync: ForgeSync, thread: Thread)?
        if site.settings.remote != nil {
            let sync = try ForgeSync(opening: opening, overrides: overrides, report: report)
            // What the forge has of a ledger comes before its first entry here: a rebuilt control plane goes on with it.
            // Whoever has one here goes on with that at once, whether or not the forge answers.
            forge = (
                sync,
                try Thread {
                    sync.fetchOnce()
                    hasFetched.set()
                    fetched.wake()
                    sync.run()
                }
            )
        } else {
            hasFetched.set()
        }
        let monitor = ChangeMonitor()
        var isFirst = true
        var isChecked = false
        var failing: [String: String] = [:]
        while !isEnding.isSet {
            // One that cannot be watched makes it blind, and is looked at by the clock.
            for folder in Self.refFolders(site) { _ = try? monitor.watch(folder) }
            let here = hasFetched.isSet ? nil : Set(try Ledger.environments(in: site.repository))
            // Only with the forge's branch is it known which there are.
            if hasFetched.isSet, !isChecked {
                for name in asked { try site.require(name, among: site.environments([])) }
                isChecked = true
            }
            for environment in names(site) where running[environment] == nil && here?.contains(environment) != false {
                do {
                    running[environment] = try start(environment, forge?.sync)
                    failing[environment] = nil
                } catch {
                    // One that cannot be started does not stop the others; it is tried again.
                    if failing[environment] != "\(error)" { report(.failed(environment, error)) }
                    failing[environment] = "\(error)"
                }
            }
            if isFirst, hasFetched.isSet || !running.isEmpty {
                ready(running.keys.sorted())
                isFirst = false
            }
            let time: Duration = monitor.isBlind || !failing.isEmpty ? .seconds(5) : .seconds(600)
            let awake = Wakeup.wait(for: [ending.readEnd, monitor.number, fetched.readEnd], atMost: time)
            if awake.contains(monitor.number) { _ = try? monitor.events() }
            if awake.contains(fetched.readEnd) { fetched.clear() }
        }
        forge?.sync.stop()
        for (watcher, _) in running.values { watcher.stop() }
        forge?.thread.join()
        for (_, thread) in running.values { thread.join() }
    }

    private func start(_ environment: String, _ forge: ForgeSync?) throws -> (
        watcher: EnvironmentWatcher, thread: Thread
    ) {
        let watcher = try EnvironmentWatcher(
            environment,
            opening: opening,
            overrides: overrides,
            actor: actor,
            forge: forge,
            report: report
        )
        return (watcher, try Thread { watcher.run() })
    }

    private func names(_ site: Site) -> [String] {
        guard asked.isEmpty else { return asked }
        do {
            return try site.environments([])
        } catch {
            // A commit that cannot be read now is looked at again with the next change; what is live goes on without it.
            report(.failed("all", error))
            return (try? Ledger.environments(in: site.repository)) ?? []
        }
    }

    private static func refFolders(_ site: Site) -> [String] {
        var folder = site.commonDirectory + "refs"
        var folders = [String(site.commonDirectory.dropLast()), folder]
        for part in site.settings.desiredRef.split(separator: "/").dropFirst().dropLast() {
            folder += "/\(part)"
            folders.append(folder)
        }
        return folders
    }
}
