import EnsignCrypto
import EnsignModel
import Foundation
import Testing

/// Tests/Vectors/routing.json is shared with the Python client.
@Suite struct RouteVectorTests {
    private struct Vector: Decodable {
        struct Target: Decodable {
            var version: String
            var digest: String
            var weight: Int64
        }
        var agent: String
        var routes: [Target]
        var key: String
        var bucket: Int64
        var index: Int
    }

    @Test("Buckets and routes are those of the committed vectors")
    func vectors() throws {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Vectors/routing.json")
        let vectors = try JSONDecoder().decode([Vector].self, from: Data(contentsOf: url))
        #expect(vectors.count >= 20)
        for vector in vectors {
            let route = Route(
                agent: try #require(AgentID(vector.agent)),
                environment: "prod",
                phase: .canary,
                targets: try vector.routes.map {
                    Route.Target(
                        version: try #require(AgentVersion($0.version)),
                        digest: try #require(Digest($0.digest)),
                        weight: $0.weight
                    )
                }
            )
            let text = try #require(route.bucketText(key: vector.key))
            let bucket = Route.bucket(sha256: SHA256.digest(of: text))
            #expect(bucket == vector.bucket)
            #expect(route.target(bucket: bucket) == route.targets[vector.index])
        }
    }

    @Test("A session keeps its version as the weight grows, and shares match the weights over 100,000 keys")
    func stickyAndFair() throws {
        let agent = try #require(AgentID("support/refund-triage"))
        let digests = try ["a", "b"].map { try #require(Digest(hex: String(repeating: $0, count: 64))) }
        let versions = try ["1.1.0", "1.0.0"].map { try #require(AgentVersion($0)) }
        func route(_ weight: Int64) -> Route {
            Route(
                agent: agent,
                environment: "prod",
                phase: .canary,
                targets: [
                    Route.Target(version: versions[0], digest: digests[0], weight: weight),
                    Route.Target(version: versions[1], digest: digests[1], weight: 100 - weight),
                ]
            )
        }
        let weights: [Int64] = [1, 5, 25, 50, 99]
        var taken = [Int64: Int]()
        for number in 0..<100_000 {
            var wasCandidate = false
            for weight in weights {
                let route = route(weight)
                let text = try #require(route.bucketText(key: "session-\(number)"))
                let isCandidate =
                    route.target(bucket: Route.bucket(sha256: SHA256.digest(of: text)))?.digest == digests[0]
                #expect(isCandidate || !wasCandidate, "session-\(number) went back at \(weight) %")
                wasCandidate = isCandidate
                if isCandidate { taken[weight, default: 0] += 1 }
            }
        }
        for weight in weights {
            let share = Double(taken[weight] ?? 0) / 1_000
            // Four standard deviations of a binomial share over 100,000 keys.
            let p = Double(weight) / 100
            #expect(abs(share - Double(weight)) < 400 * (p * (1 - p) / 100_000).squareRoot())
        }
    }
}
