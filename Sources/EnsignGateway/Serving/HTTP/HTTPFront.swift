import CMicroHTTPD
import EnsignModel
package import EnsignSystem
import Glibc
import Synchronization

/// Serves clients by HTTP (MCP 2025-03-26 to 2026-07-28, "Streamable HTTP"), in the clear to this machine and encrypted to
/// others: POST with a plain JSON answer. Each request stands alone.
@safe
package final class HTTPFront: Sendable {
    /// What an encrypted server needs, as PEM.
    package struct Encryption: Sendable {
        package var certificate: String
        package var key: String
        /// Whose clients are let in; nil for all.
        package var authorities: String?

        package init(certificate: String, key: String, authorities: String? = nil) {
            self.certificate = certificate
            self.key = key
            self.authorities = authorities
        }

        /// Whether the certificate can be read, and is the key's, and there are authorities where some are named.
        package var isUsable: Bool { unsafe chttpd_fits(certificate, key, authorities) != 0 }
    }

    /// The port that is listened on.
    package let port: UInt16
    /// C's, until the server has stopped.
    private let shared: SharedSite
    private let server: Condition<Server?>
    private let watcher: EnsignSystem.Thread
    /// Nil for http.
    private let certificate: Certificate?

    /// The certificate that names this server now, as PEM.
    private final class Certificate: Sendable {
        let text: Mutex<String>
        init(_ text: String) { self.text = Mutex(text) }
    }

    @safe
    private struct Server: @unchecked Sendable {
        // Stopped once, by whoever takes it out.
        let pointer: OpaquePointer
    }

    /// Starts to serve. The process must ignore SIGPIPE.
    ///
    /// - Parameters:
    ///   - encryption: Nil for http, which only this machine may reach.
    ///   - version: The gateway's own.
    /// - Throws: ``SystemError`` when there are no threads, or the certificate is none for its key.
    package convenience init(
        _ socket: consuming ListeningSocket,
        encryption: Encryption? = nil,
        gatekeeper: any Gatekeeper,
        version: String
    ) throws(SystemError) {
        try self.init(socket, encryption, gatekeeper, version, HTTPConnections.Limits())
    }

    init(
        _ socket: consuming ListeningSocket,
        _ encryption: Encryption?,
        _ gatekeeper: any Gatekeeper,
        _ version: String,
        _ limits: HTTPConnections.Limits
    ) throws(SystemError) {
        let (host, port) = (socket.host, socket.port)
        let connections = HTTPConnections(limits)
        let certificate = encryption.map { Certificate($0.certificate) }
        self.certificate = certificate
        let site = HTTPSite(
            rules: HTTPRules(isEncrypted: encryption != nil, isOwn: Self.names(of: host, certificate)),
            gatekeeper: gatekeeper,
            version: version,
            connections: connections,
            wantsCertificate: encryption?.authorities != nil
        )
        let shared = SharedSite(site)
        (self.shared, self.port) = (shared, port)
        guard let pointer = unsafe Self.start(socket.take(), encryption, limits, shared) else {
            let reason = encryption == nil ? "start its threads" : "start its threads, or use its certificate and key"
            throw SystemError(code: EINVAL, operation: "listen on \(host), port \(port): cannot \(reason)")
        }
        server = unsafe Condition(Server(pointer: pointer))
        do throws(SystemError) {
            watcher = try EnsignSystem.Thread { connections.watch() }
        } catch {
            withExtendedLifetime(shared) { unsafe chttpd_stop(pointer) }
            throw error
        }
    }

    deinit { stop() }

    /// Takes another certificate, key and authorities for connections that begin. Those that are open keep theirs.
    ///
    /// - Returns: Whether they were taken: they fit each other, and there are authorities exactly where there were some. Otherwise
    ///   nothing has changed.
    package func renew(_ encryption: Encryption) -> Bool {
        server.withLock { server in
            let hasSameKind = (encryption.authorities != nil) == shared.site.wantsCertificate
            guard let server, let certificate, hasSameKind else { return false }
            let isTaken =
                unsafe chttpd_renew(server.pointer, encryption.certificate, encryption.key, encryption.authorities) != 0
            if isTaken { certificate.text.withLock { $0 = encryption.certificate } }
            return isTaken
        }
    }

    /// Cancels what is under way, waits until it is over, and answers it. Again does nothing.
    package func stop() {
        let taken = server.withLock { server in
            defer { server = nil }
            return server
        }
        guard let taken else { return }
        unsafe chttpd_quiesce(taken.pointer)
        // The library stops badly while it answers nonsense by itself (0.9.75: a response that is not there): connections end
        // before it does.
        shared.site.connections.stop(within: .seconds(5))
        unsafe chttpd_stop(taken.pointer)
        watcher.join()
    }

    /// Whether a host is this server: the address that it listens on, this machine's names for itself, or for other machines
    /// what the certificate is for. Who listens on all addresses is the one at which the connection came in.
    private static func names(of host: String, _ certificate: Certificate?) -> HTTPRules.Names {
        guard let certificate else {
            return { asked, _ in asked == host || WebAddress("http://\(bracketed(asked))")?.isLoopback == true }
        }
        return { asked, address in
            if asked == "localhost" { return true }
            if let named = TCPAddress(asked), named == address() { return true }
            return unsafe chttpd_is_for(certificate.text.withLock { $0 }, asked) == 1
        }
    }

    private static func bracketed(_ host: String) -> String { host.contains(":") ? "[\(host)]" : host }

    private static func start(
        _ socket: Int32,
        _ encryption: Encryption?,
        _ limits: HTTPConnections.Limits,
        _ shared: SharedSite
    ) -> OpaquePointer? {
        var handlers = unsafe Self.handlers
        unsafe handlers.context = Unmanaged.passUnretained(shared).toOpaque()
        func start(_ key: UnsafePointer<CChar>?, _ certificate: UnsafePointer<CChar>?, _ trust: UnsafePointer<CChar>?)
            -> OpaquePointer?
        {
            var settings = unsafe chttpd_settings(
                socket: socket,
                // Those that give way are still there for a moment.
                connections: UInt32(limits.connections + max(limits.connections / 4, 128)),
                memory: HTTPHead.memory,
                // Checking recurses along nested values, bounded at 64 levels.
                stack: 8 << 20,
                key: key,
                certificate: certificate,
                authorities: trust
            )
            return unsafe chttpd_start(&settings, &handlers)
        }
        guard let encryption else { return unsafe start(nil, nil, nil) }
        return unsafe encryption.key.withCString { key in
            unsafe encryption.certificate.withCString { certificate in
                guard let authorities = encryption.authorities else { return unsafe start(key, certificate, nil) }
                return unsafe authorities.withCString { unsafe start(key, certificate, $0) }
            }
        }
    }
}

/// The site as C holds it.
private final class SharedSite: Sendable {
    let site: HTTPSite
    init(_ site: HTTPSite) { self.site = site }
}

/// An exchange as C holds it, from the head to the end of the answer.
private final class HeldExchange {
    let exchange: HTTPExchange
    let connection: Int
    let connections: HTTPConnections

    init(_ exchange: HTTPExchange, _ connection: Int, _ connections: HTTPConnections) {
        (self.exchange, self.connection, self.connections) = (exchange, connection, connections)
    }
}

private final class HeaderBox { var headers: [String: [String]] = [:] }

extension HTTPFront {
    /// All run on the connection's own thread, one after another.
    fileprivate static var handlers: chttpd_handlers {
        unsafe chttpd_handlers(
            context: nil,
            opened: { context, socket in
                guard let context = unsafe context else { return nil }
                let shared = unsafe Unmanaged<SharedSite>.fromOpaque(context).takeUnretainedValue()
                let holder = ConnectionPlaces.Holder(ofPeerOn: socket)
                return unsafe UnsafeMutableRawPointer(bitPattern: shared.site.connections.opened(socket, holder))
            },
            closed: { context, connection in
                guard let context = unsafe context else { return }
                let shared = unsafe Unmanaged<SharedSite>.fromOpaque(context).takeUnretainedValue()
                shared.site.connections.closed(Int(bitPattern: connection))
            },
            begun: { context, connection, exchange, method, path, version, request in
                guard let context = unsafe context else { return Int32(CHTTPD_HANG_UP) }
                let shared = unsafe Unmanaged<SharedSite>.fromOpaque(context).takeUnretainedValue()
                let head = unsafe HTTPFront.head(of: exchange, method, path, version)
                let number = Int(bitPattern: connection)
                let own = HTTPExchange(head, connection: number, site: shared.site) {
                    unsafe chttpd_client_is_known(exchange) == 1
                }
                let held = HeldExchange(own, number, shared.site.connections)
                unsafe request.pointee = Unmanaged.passRetained(held).toOpaque()
                return Int32(own.isAnsweredAtOnce ? CHTTPD_ANSWER : CHTTPD_READ)
            },
            took: { request, bytes, count in
                guard let request = unsafe request else { return 1 }
                let held = unsafe Unmanaged<HeldExchange>.fromOpaque(request).takeUnretainedValue()
                return unsafe held.exchange.take(UnsafeBufferPointer(start: bytes, count: count)) ? 0 : 1
            },
            finished: { request, exchange in
                guard let request = unsafe request else { return 1 }
                let held = unsafe Unmanaged<HeldExchange>.fromOpaque(request).takeUnretainedValue()
                guard var answer = held.exchange.finish() else { return 1 }
                // RFC 9112, section 9.6: whoever asked next on it would not know whether that was taken.
                if held.exchange.isLast { answer.headers.append(("Connection", "close")) }
                return unsafe HTTPFront.send(answer, exchange) ? 0 : 1
            },
            done: { request, wasSent in
                guard let request = unsafe request else { return }
                let held = unsafe Unmanaged<HeldExchange>.fromOpaque(request).takeRetainedValue()
                if wasSent == 0 { held.exchange.lose() }
                if held.exchange.isCutShort { held.connections.drain(held.connection) }
                held.connections.rests(held.connection)
            }
        )
    }

    fileprivate static func head(
        of exchange: OpaquePointer,
        _ method: UnsafePointer<CChar>,
        _ path: UnsafePointer<CChar>,
        _ version: UnsafePointer<CChar>
    ) -> HTTPHead {
        let box = HeaderBox()
        let isPlain = unsafe chttpd_headers(exchange, method, Unmanaged.passUnretained(box).toOpaque()) {
            context,
            name,
            value in
            guard let context = unsafe context else { return }
            let box = unsafe Unmanaged<HeaderBox>.fromOpaque(context).takeUnretainedValue()
            let name = unsafe String(cString: name).lowercased()
            unsafe box.headers[name, default: []].append(HTTPFront.withoutBlanks(String(cString: value)))
        }
        return unsafe HTTPHead(
            method: String(cString: method),
            path: String(cString: path),
            headers: box.headers,
            size: chttpd_head_size(exchange),
            isPlain: isPlain != 0,
            version: String(cString: version)
        )
    }

    /// Blanks behind a value are none of it (RFC 9112, section 5.1).
    private static func withoutBlanks(_ value: String) -> String {
        guard let last = value.utf8.lastIndex(where: { $0 != 0x20 && $0 != 0x09 }) else { return "" }
        return String(value[...last])
    }

    fileprivate static func send(_ answer: HTTPAnswer, _ exchange: OpaquePointer) -> Bool {
        let headers = answer.allHeaders
        var names: [UnsafePointer<CChar>?] = unsafe headers.map { unsafe UnsafePointer(strdup($0.name)) } + [nil]
        var values: [UnsafePointer<CChar>?] = unsafe headers.map { unsafe UnsafePointer(strdup($0.value)) } + [nil]
        defer {
            for index in unsafe names.indices {
                unsafe free(UnsafeMutablePointer(mutating: names[index]))
                unsafe free(UnsafeMutablePointer(mutating: values[index]))
            }
        }
        return unsafe chttpd_answer(exchange, UInt32(answer.status), &names, &values, answer.body, answer.body.count)
            != 0
    }
}
