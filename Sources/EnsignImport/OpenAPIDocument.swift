package import EnsignModel

/// A description of an HTTP interface (OpenAPI 3.0 and 3.1) as operations: parameters and body of each in one schema.
///
/// Pure and total. References are followed within the document only.
package struct OpenAPIDocument: Sendable {
    package private(set) var operations: [OfferedOperation] = []
    package private(set) var decisions: [ImportDecision] = []
    package private(set) var version: String?
    package private(set) var title = ""
    /// The addresses that it names.
    package private(set) var servers: [String] = []
    /// Where in the document an operation stands, and what is left out of it: by the subjects of decisions.
    package private(set) var places: [String: [String]] = [:]

    /// What is not written of operations, in words, with their names.
    private var unsaid: [String: [String]] = [:]

    private let root: JSONValue
    /// Whether schemas are of 3.0: OpenAPI's own dialect, close to draft 5.
    private let isOld: Bool

    /// The most operations that are read.
    private static let most = 5_000

    /// - Throws: ``ForeignDocumentError`` when it is not such a description.
    package init(_ root: JSONValue) throws(ForeignDocumentError) {
        self.root = root
        guard let claimed = root["openapi"]?.string, claimed.hasPrefix("3.0") || claimed.hasPrefix("3.1") else {
            let what =
                root["swagger"] == nil ? "'openapi' is not 3.0 or 3.1" : "it is of Swagger 2: convert it to OpenAPI 3"
            throw ForeignDocumentError(description: what)
        }
        isOld = claimed.hasPrefix("3.0")
        title = root["info"]?["title"]?.string ?? ""
        version = root["info"]?["version"]?.string
        servers = (root["servers"]?.array ?? []).compactMap { $0["url"]?.string }
        let work = SchemaWork()
        let names = OpenAPINames(of: root)
        decisions += names.decisions
        for (path, item) in root["paths"]?.object ?? [:] {
            guard let item = item.resolved(in: root), item.object != nil else {
                decisions.append(ImportDecision(.leftOut, path, item.leadsNowhere))
                places[path] = ["paths", path]
                continue
            }
            for method in OpenAPINames.methods {
                guard let operation = item[method], operation.object != nil else { continue }
                guard operations.count < Self.most else {
                    decisions.append(ImportDecision(.leftOut, nil, "what comes after \(Self.most) operations"))
                    return
                }
                let name = names.name(method, path)
                places[name] = ["paths", path, method]
                var reader = OpenAPIOperation(root: root, isOld: isOld, work: work)
                let offered = reader.read(operation, in: item, name: name, method: method, path: path)
                for what in reader.unsaid { unsaid[what, default: []].append(name) }
                if let problem = reader.problem { decisions.append(ImportDecision(.leftOut, name, problem)) }
                if let offered { operations.append(offered) }
            }
        }
        noteRest()
        noteServers()
    }

    /// What a manifest has no place for, all operations together.
    private mutating func noteRest() {
        for (what, names) in unsaid.sorted(by: { $0.key < $1.key }) {
            let shown =
                names.prefix(5).joined(separator: ", ") + (names.count > 5 ? " and \(names.count - 5) more" : "")
            decisions.append(ImportDecision(.noPlace, nil, "\(what): \(shown)"))
        }
        for field in ["webhooks"] where root[field]?.object?.isEmpty == false {
            decisions.append(ImportDecision(.noPlace, field, "what others call is not an operation"))
        }
    }

    private mutating func noteServers() {
        let named = servers.isEmpty ? "" : " (\(servers.prefix(3).joined(separator: ", ")))"
        let why = "a manifest has MCP servers only: name the one that makes these calls\(named)"
        decisions.append(ImportDecision(.look, "server", why))
        let schemes = root["components"]?["securitySchemes"]?.object?.map(\.key) ?? []
        // One that nothing asks for is not wanted.
        let secured = schemes.filter(asked.contains)
        if !secured.isEmpty {
            let names = secured.prefix(5).joined(separator: ", ")
            decisions.append(ImportDecision(.look, "credentials", "it wants \(names): say where they are kept"))
        }
    }

    /// The schemes that something asks for.
    private var asked: Set<String> {
        let operations = (root["paths"]?.object ?? [:]).flatMap { ($0.value.object ?? [:]).map(\.value) }
        let requirements = ([root] + operations).flatMap { $0["security"]?.array ?? [] }
        return Set(requirements.flatMap { ($0.object ?? [:]).map(\.key) })
    }
}
