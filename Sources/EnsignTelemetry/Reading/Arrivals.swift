import EnsignModel
import EnsignSystem

/// Files that have something new and are not followed, of each writer in the order in which they came.
struct Arrivals {
    private var files: [TelemetryCursor.FileID: TelemetryWalk.Found] = [:]
    private var queues: [TelemetryCursor.Writer: Queue<TelemetryCursor.FileID>] = [:]
    /// Whose turn it is.
    private var writers = Queue<TelemetryCursor.Writer>()

    var count: Int { files.count }

    var isEmpty: Bool { files.isEmpty }

    var backlog: TelemetryBacklog {
        TelemetryBacklog(
            files: files.count,
            bytes: files.values.reduce(0) { $0.adding(saturating: $1.status.size) }
        )
    }

    mutating func add(_ found: TelemetryWalk.Found) {
        guard files.updateValue(found, forKey: found.status.id) == nil else { return }
        let writer = found.writer
        if queues[writer] == nil { writers.append(writer) }
        queues[writer, default: Queue()].append(found.status.id)
    }

    /// Takes the file that has waited for longest of the writer whose turn it is.
    mutating func next() -> TelemetryWalk.Found? {
        while let writer = writers.removeFirst() {
            let id = queues[writer]?.removeFirst()
            if queues[writer]?.first == nil { queues[writer] = nil } else { writers.append(writer) }
            // Whoever changed hands meanwhile is in another queue as well.
            if let id, let found = files.removeValue(forKey: id) { return found }
        }
        return nil
    }
}
