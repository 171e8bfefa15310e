import Glibc
import Synchronization

/// The one inotify(7) instance of a process, and who looks at what through it.
///
/// An account has few instances (`fs.inotify.max_user_instances`, often 128), far fewer than a host may have
/// environments: every ``ChangeMonitor`` of a process shares one hub. Its thread reads what the kernel reports, leaves it
/// with the monitors that watch the folder, and wakes their services.
package final class ChangeHub: Sendable {
    private let core: Core
    /// Nil without an instance, or without room for a thread.
    private let reader: Service?

    /// Nothing fails without changes: a hub that cannot be made is blind, and so are its monitors.
    package init() {
        core = Core()
        reader = core.blindness == nil ? Self.service(core) : nil
        guard let reader else { return }
        do throws(SystemError) {
            try reader.start { [core] in
                // They are for the thread that waits for them, whoever made the hub before that one.
                TerminationSignals.block()
                return Reading(core: core, service: reader)
            }
        } catch {
            core.end(error)
        }
    }

    deinit {
        reader?.stop()
        reader?.join()
    }

    private static func service(_ core: Core) -> Service? {
        do throws(SystemError) { return try Service() } catch {
            core.end(error)
            return nil
        }
    }

    /// Why changes are not seen; nil when all goes well.
    var blindness: SystemError? { core.blindness }

    /// - Returns: The number under which the monitor is known.
    func add(waking service: Service) -> Int { core.add(service) }
    func remove(_ monitor: Int) { core.remove(monitor) }

    /// Watches what is at a folder's path.
    ///
    /// - Returns: The kernel's number for it, the same for every monitor that watches it; nil when there is no such folder.
    func watch(_ folder: String, for monitor: Int) throws(SystemError) -> Int32? { try core.watch(folder, monitor) }
    func forget(_ watch: Int32, for monitor: Int) { core.forget(watch, monitor) }

    /// What has happened so far in what the monitor watches, each thing once.
    func take(for monitor: Int) throws(SystemError) -> Mail {
        try core.pump()
        return core.take(monitor)
    }

    /// What the kernel said of one watch.
    struct Report: Sendable {
        var watch: Int32
        /// `IN_...` of inotify(7).
        var mask: UInt32
        var name: String
    }

    /// What is left with a monitor.
    struct Mail: Sendable {
        var reports: [Report] = []
        /// Whether some were dropped: then anything may have changed.
        var isIncomplete = false

        /// The most reports that wait for one monitor, as many as wait in the kernel by default.
        private static let most = 16_384

        mutating func add(_ report: Report) {
            if reports.count < Self.most { reports.append(report) } else { isIncomplete = true }
        }
    }

    /// Waits for the kernel. On the hub's thread, which must not keep the hub itself.
    private struct Reading: ServiceWork {
        let core: Core
        let service: Service

        func turn() -> Service.Next {
            guard !service.wait(for: [core.descriptor], atMost: .seconds(3_600)).readable.isEmpty else {
                return .atOnce
            }
            do throws(SystemError) {
                try core.pump()
                return .atOnce
            } catch {
                core.end(error)
                return .never
            }
        }
    }

    // MARK: -

    private final class Core: Sendable {
        /// -1 without an instance.
        let descriptor: Int32
        private let state: Mutex<State>

        private struct State {
            var blindness: SystemError?
            var services: [Int: Service] = [:]
            var mail: [Int: Mail] = [:]
            /// Who looks at a watch.
            var watching: [Int32: Set<Int>] = [:]
            var last = 0
        }

        init() {
            do throws(SystemError) {
                descriptor = try attempt("watch for changes") { inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK)) }
                state = Mutex(State())
            } catch {
                descriptor = -1
                state = Mutex(State(blindness: error))
            }
        }

        deinit {
            if descriptor >= 0 { close(descriptor) }
        }

        var blindness: SystemError? { state.withLock { $0.blindness } }

        /// Nobody sees anything from here on; everybody is woken to find that.
        func end(_ error: SystemError) {
            state.withLock { state in
                state.blindness = state.blindness ?? error
                for service in state.services.values { service.wake() }
            }
        }

        func add(_ service: Service) -> Int {
            state.withLock { state in
                state.last += 1
                state.services[state.last] = service
                return state.last
            }
        }

        func remove(_ monitor: Int) {
            state.withLock { state in
                state.services[monitor] = nil
                state.mail[monitor] = nil
                for (watch, monitors) in state.watching where monitors.contains(monitor) {
                    forget(watch, monitor, &state)
                }
            }
        }

        func watch(_ folder: String, _ monitor: Int) throws(SystemError) -> Int32? {
            let mask =
                UInt32(IN_CREATE) | UInt32(IN_DELETE) | UInt32(IN_MOVED_TO) | UInt32(IN_MOVED_FROM)
                | UInt32(IN_CLOSE_WRITE) | UInt32(IN_MODIFY) | UInt32(IN_ATTRIB) | UInt32(IN_DELETE_SELF)
                | UInt32(IN_MOVE_SELF) | UInt32(IN_ONLYDIR)
            // Under the lock, so that what is reported at once finds who looks at it.
            return try state.withLock { state throws(SystemError) in
                let watch = unsafe inotify_add_watch(descriptor, folder, mask)
                guard watch >= 0 else {
                    if errno == ENOENT || errno == ENOTDIR { return nil }
                    throw SystemError(code: errno, operation: "watch \(folder)")
                }
                state.watching[watch, default: []].insert(monitor)
                return watch
            }
        }

        func forget(_ watch: Int32, _ monitor: Int) {
            state.withLock { forget(watch, monitor, &$0) }
        }

        private func forget(_ watch: Int32, _ monitor: Int, _ state: inout State) {
            state.watching[watch]?.remove(monitor)
            guard state.watching[watch]?.isEmpty == true else { return }
            state.watching[watch] = nil
            _ = inotify_rm_watch(descriptor, watch)
        }

        func take(_ monitor: Int) -> Mail { state.withLock { $0.mail.removeValue(forKey: monitor) ?? Mail() } }

        /// Leaves what waits now, or the first of it, with those whom it concerns: an endless stream of events does not block
        /// the caller.
        func pump() throws(SystemError) {
            guard descriptor >= 0 else { return }
            try state.withLock { state throws(SystemError) in
                var buffer = [UInt8](repeating: 0, count: 65_536)
                var woken: Set<Int> = []
                defer { for monitor in woken { state.services[monitor]?.wake() } }
                for _ in 0..<64 {
                    let count = unsafe read(descriptor, &buffer, buffer.count)
                    if count < 0 {
                        if errno == EINTR { continue }
                        if errno == EAGAIN { return }
                        throw SystemError(code: errno, operation: "read changes")
                    }
                    guard count > 0 else { return }
                    unsafe buffer.withUnsafeBytes { unsafe deliver($0, count, &state, &woken) }
                }
            }
        }

        /// struct inotify_event: int wd; uint32_t mask, cookie, len; char name[len].
        private func deliver(
            _ bytes: UnsafeRawBufferPointer,
            _ count: Int,
            _ state: inout State,
            _ woken: inout Set<Int>
        ) {
            var offset = 0
            while offset + 16 <= count {
                let watch = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self)
                let mask = unsafe bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
                let length = Int(unsafe bytes.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
                let end = min(offset + 16 + length, count)
                let name = unsafe bytes[(offset + 16)..<end].prefix { $0 != 0 }
                if mask & UInt32(IN_Q_OVERFLOW) != 0 {
                    for monitor in state.services.keys { state.mail[monitor, default: Mail()].isIncomplete = true }
                    woken.formUnion(state.services.keys)
                } else if let monitors = state.watching[watch] {
                    let report = Report(
                        watch: watch,
                        mask: mask,
                        name: unsafe String(decoding: name, as: UTF8.self)
                    )
                    for monitor in monitors { state.mail[monitor, default: Mail()].add(report) }
                    woken.formUnion(monitors)
                    if mask & UInt32(IN_IGNORED) != 0 { state.watching[watch] = nil }
                }
                offset = end
            }
        }
    }
}
