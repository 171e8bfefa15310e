import Glibc

/// Watches folders for changes, for one service, through a ``ChangeHub``.
///
/// A hub may be blind, and the account's watches may be used up. Then the monitor is blind: it sees nothing, and waiting
/// code polls by the clock instead. Nothing stops without it.
package final class ChangeMonitor {
    private let hub: ChangeHub
    private let number: Int
    private var trouble: SystemError?
    private var paths: [Int32: String] = [:]
    private var numbers: [String: Int32] = [:]

    /// Something happened in a folder.
    package struct Event: Sendable, Hashable {
        /// The watched folder.
        package var folder: String
        /// The entry's name; empty for the folder itself.
        package var name: String
        /// Whether the entry is a folder that has just appeared.
        package var isNewFolder: Bool
    }

    /// - Parameter service: Woken when there are events.
    package init(_ hub: ChangeHub, waking service: Service) {
        self.hub = hub
        number = hub.add(waking: service)
    }

    deinit { hub.remove(number) }

    /// Why changes are not seen; nil when all goes well.
    package var blindness: SystemError? { trouble ?? hub.blindness }
    package var isBlind: Bool { blindness != nil }

    /// Watches a folder; one that is watched already or does not exist is not an error.
    ///
    /// Renaming or removing a folder is one event and ends its watch: whatever is at its path then, or appears there
    /// later, must be watched again.
    ///
    /// - Returns: Whether it was not watched before.
    /// - Throws: ``SystemError`` with `ENOSPC` when the user's watches are used up.
    @discardableResult
    package func watch(_ folder: String) throws(SystemError) -> Bool {
        guard hub.blindness == nil, numbers[folder] == nil else { return false }
        do throws(SystemError) {
            guard let watch = try hub.watch(folder, for: number) else { return false }
            let isNew = paths[watch] != folder
            paths[watch] = folder
            numbers[folder] = watch
            return isNew
        } catch {
            trouble = error
            throw error
        }
    }

    /// Watches what is at a folder's path now, whatever was there when it was last watched.
    ///
    /// - Returns: Whether it is a different folder.
    @discardableResult
    package func watchAgain(_ folder: String) throws(SystemError) -> Bool {
        numbers[folder] = nil
        let isNew = try watch(folder)
        for (watch, path) in paths where path == folder && watch != numbers[folder] {
            hub.forget(watch, for: number)
            forget(watch)
        }
        return isNew
    }

    /// What has happened since the last call; empty when nothing has.
    ///
    /// - Returns: nil when some of it was dropped: then anything may have changed.
    package func events() throws(SystemError) -> [Event]? {
        let mail = try hub.take(for: number)
        let events = mail.reports.compactMap(event)
        return mail.isIncomplete ? nil : events
    }

    private func event(_ report: ChangeHub.Report) -> Event? {
        guard let folder = paths[report.watch] else { return nil }
        func has(_ flag: Int32) -> Bool { report.mask & UInt32(flag) != 0 }
        guard !has(IN_IGNORED) else {
            forget(report.watch)
            return nil
        }
        if has(IN_MOVE_SELF) {
            hub.forget(report.watch, for: number)
            forget(report.watch)
        }
        let isNewFolder = report.mask & UInt32(IN_ISDIR) != 0 && (has(IN_CREATE) || has(IN_MOVED_TO))
        return Event(folder: folder, name: report.name, isNewFolder: isNewFolder)
    }

    private func forget(_ watch: Int32) {
        guard let folder = paths.removeValue(forKey: watch), numbers[folder] == watch else { return }
        numbers[folder] = nil
    }
}
