package import EnsignHost
import EnsignLedger
package import EnsignModel

/// The copy that the telemetry pipeline leaves for readers.
package struct Observations {
    package private(set) var book = ObservationBook()
    /// Why nothing can be known here; nil where it can.
    package private(set) var obstacle: Obstacle?

    /// - Parameter agents: Others cost nothing.
    package static func kept(_ site: Site, _ environment: String, of agents: Set<AgentID>) -> Observations {
        guard !agents.isEmpty else { return Observations() }
        guard site.reconciles else { return Observations(obstacle: .elsewhere) }
        do {
            let contents = try StateFile<ObservationBook>(site.files, environment).contents()
            let book = contents.flatMap { ObservationBook($0, where: agents.contains) } ?? ObservationBook()
            // What was read before stays known when the setting goes.
            let isRead = book.agents.isEmpty ? try site.settings.telemetry(environment) != nil : true
            return Observations(book: book, obstacle: isRead ? nil : .noTelemetry)
        } catch {
            return Observations(obstacle: .unreadable("\(error)"))
        }
    }

    /// Why nothing can be known here.
    package enum Obstacle: Sendable, Hashable {
        /// Another clone reads telemetry.
        case elsewhere
        case noTelemetry
        /// The account must not read it, or the disk does not give it.
        case unreadable(String)

        package func text(_ environment: String) -> String {
            switch self {
            case .elsewhere: "the host of the fleet alone reads the gateway's spans"
            case .noTelemetry:
                "no telemetry is read here ('git config ensign.\(environment).telemetry DIRECTORY' names where the gateway writes its spans)"
            case .unreadable(let why): why
            }
        }
    }

    /// That what is asked of the gateway has no effect.
    package static func noGateway(_ environment: String) -> String {
        "no gateway is named (ensign.\(environment).gateway), and without one neither observe nor enforce has an effect"
    }
}
