import Glibc
import Synchronization

/// Runs independent work on its own threads.
///
/// Does not use Swift's cooperative pool: the work blocks on files, and each thread owns a libgit2 handle.
package enum Parallel {
    /// Cores of this machine.
    package static var cores: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

    /// The results of `work` for 0 ..< count, in order. The first error wins; all threads have ended by then.
    package static func map<Value: Sendable>(
        _ count: Int,
        _ work: @escaping @Sendable (Int) throws -> Value
    ) throws -> [Value] {
        guard count > 1 else { return count == 1 ? [try work(0)] : [] }
        let box = Box<Value>()
        var threads: [Thread] = []
        for index in 1..<count { threads.append(try Thread { box.run(index, work) }) }
        box.run(0, work)
        for thread in threads { thread.join() }
        return try box.results(count)
    }

    /// The results of `work` for each element, in order: on one thread where they are few.
    package static func map<Element: Sendable, Value: Sendable>(
        _ elements: [Element],
        few: Int = 200,
        _ work: @escaping @Sendable (Element) throws -> Value
    ) throws -> [Value] {
        guard elements.count > few else { return try elements.map(work) }
        let threads = min(cores, 8)
        let size = (elements.count + threads - 1) / threads
        let parts = try map((elements.count + size - 1) / size) { index in
            try elements[(index * size)..<min((index + 1) * size, elements.count)].map(work)
        }
        return Array(parts.joined())
    }

    private final class Box<Value: Sendable>: Sendable {
        private let results = Mutex<[Int: Result<Value, any Error>]>([:])

        func run(_ index: Int, _ work: (Int) throws -> Value) {
            let result = Result { try work(index) }
            results.withLock { $0[index] = result }
        }

        func results(_ count: Int) throws -> [Value] {
            let all = results.withLock { $0 }
            return try (0..<count).map { index in
                guard let result = all[index] else { preconditionFailure("every thread leaves a result") }
                return try result.get()
            }
        }
    }
}

/// A thread that runs one closure; whoever starts it must join it.
package final class Thread: Sendable {
    private let handle: pthread_t

    private final class Work {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Starts the thread.
    ///
    /// - Throws: ``SystemError`` when the system has no room for one.
    package init(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        var handle = pthread_t()
        let context = unsafe Unmanaged.passRetained(Work(body)).toOpaque()
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        // Checking recurses along nested values, bounded at 64 levels; the default of 8 MB is kept explicitly.
        unsafe pthread_attr_setstacksize(&attributes, 8 << 20)
        let status = unsafe pthread_create(
            &handle,
            &attributes,
            { context in
                guard let context = unsafe context else { return nil }
                unsafe Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body()
                return nil
            },
            context
        )
        unsafe pthread_attr_destroy(&attributes)
        guard status == 0 else {
            unsafe Unmanaged<Work>.fromOpaque(context).release()
            throw SystemError(code: status, operation: "start a thread")
        }
        self.handle = handle
    }

    /// Waits for the thread's end.
    package func join() { pthread_join(handle, nil) }
}
