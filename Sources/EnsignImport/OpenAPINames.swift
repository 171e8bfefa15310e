import EnsignModel

/// What the operations of an HTTP interface are called.
///
/// Where several would be called alike, each gets a mark of its own path: none of them may come to mean another one
/// when one of them is gone.
struct OpenAPINames {
    /// By `METHOD PATH`.
    private var names: [String: String] = [:]
    /// About names that several would have.
    private(set) var decisions: [ImportDecision] = []

    static let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]

    init(of root: JSONValue) {
        var keys: [String: [String]] = [:]
        for (path, item) in root["paths"]?.object ?? [:] {
            guard let item = item.resolved(in: root) else { continue }
            for method in Self.methods {
                guard let operation = item[method], operation.object != nil else { continue }
                keys[Self.name(operation["operationId"]?.string, method, path), default: []].append("\(method) \(path)")
            }
        }
        for (name, several) in keys.sorted(by: { $0.key < $1.key }) {
            for key in several {
                names[key] = several.count == 1 ? name : "\(name.prefix(119))_\(Self.mark(of: key))"
            }
            guard several.count > 1 else { continue }
            let which = several.prefix(4).joined(separator: ", ") + (several.count > 4 ? ", ..." : "")
            let why =
                "\(several.count) operations would be called so (\(which)), so each has a mark of its path: an operationId of "
                + "its own names it better"
            decisions.append(ImportDecision(.look, name, why))
        }
    }

    func name(_ method: String, _ path: String) -> String {
        names["\(method) \(path)"] ?? Self.name(nil, method, path)
    }

    /// Eight digits of a text: FNV-1a, 32 bits.
    private static func mark(of text: String) -> String {
        let hash = text.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    private static func name(_ id: String?, _ method: String, _ path: String) -> String {
        if let id, OperationName.isValid(id) { return id }
        var name = method + "_"
        for scalar in (id ?? path).unicodeScalars {
            let isPlain = scalar.isASCII && OperationName.isValid(String(scalar))
            if isPlain { name.unicodeScalars.append(scalar) } else if !name.hasSuffix("_") { name += "_" }
        }
        while name.hasSuffix("_") { name.removeLast() }
        return String(name.prefix(128))
    }
}
