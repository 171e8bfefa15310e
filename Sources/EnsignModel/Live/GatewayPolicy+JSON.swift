extension GatewayPolicy {
    /// The file's content.
    package var json: JSONValue {
        [
            "v": 1, "environment": .string(environment),
            "approvers": .object(JSONObject(approvers.map { ($0.key, .array($0.value.map(\.json))) })),
            "teams": .object(JSONObject(teams.map { ($0.key, $0.value.json) })),
            "tools": .object(JSONObject(owners.map { ($0.key, ["owner": .string($0.value)]) })),
            "limits": ["costUSDPerDay": costUSDPerDay.map { JSONValue($0) } ?? .null],
            "prices": .object(JSONObject(prices.map { ($0.key, $0.value.json) })),
        ]
    }

    /// The file's bytes: RFC 8785, plus a final newline.
    package var bytes: [UInt8] { json.canonicalBytes() + [0x0A] }

    /// Reads it back; nil when a field is missing or has the wrong type, and for another version than 1.
    package init?(json: JSONValue) {
        guard json["v"]?.int == 1, let environment = json["environment"]?.string,
            let approvers = json["approvers"]?.object, let teams = json["teams"]?.object,
            let tools = json["tools"]?.object, let limits = json["limits"], let cost = limits["costUSDPerDay"],
            cost.isNull || cost.double != nil, let prices = json["prices"]?.object
        else { return nil }
        self.init(environment: environment, costUSDPerDay: cost.double)
        for (principal, value) in approvers {
            guard let list = value.array, !list.isEmpty else { return nil }
            let keys = list.compactMap { Key(json: $0) }
            guard keys.count == list.count else { return nil }
            self.approvers[principal] = keys
        }
        for (name, value) in teams {
            guard let team = Team(json: value) else { return nil }
            self.teams[name] = team
        }
        for (name, value) in tools {
            guard let owner = value["owner"]?.string else { return nil }
            owners[name] = owner
        }
        for (model, value) in prices {
            guard let price = Prices.Price(json: value) else { return nil }
            self.prices[model] = price
        }
    }
}

extension GatewayPolicy.Key {
    package var json: JSONValue {
        var object: JSONObject = ["key": .string(key)]
        object["from"] = from.map { .string($0.description) }
        object["until"] = until.map { .string($0.description) }
        return .object(object)
    }

    fileprivate init?(json: JSONValue) {
        guard let key = json["key"]?.string else { return nil }
        self.init(
            key: key,
            from: json["from"]?.string.flatMap { Timestamp($0) },
            until: json["until"]?.string.flatMap { Timestamp($0) }
        )
        guard (from == nil) == (json["from"] == nil), (until == nil) == (json["until"] == nil) else { return nil }
    }
}

extension GatewayPolicy.Team {
    fileprivate var json: JSONValue {
        var object: JSONObject = [
            "members": .array(members.map { .string($0) }),
            "limits": ["costUSDPerDay": costUSDPerDay.map { JSONValue($0) } ?? .null],
        ]
        if !others.isEmpty { object["others"] = .array(others.map { .string($0) }) }
        return .object(object)
    }

    fileprivate init?(json: JSONValue) {
        guard let members = json["members"]?.array, let cost = json["limits"]?["costUSDPerDay"],
            cost.isNull || cost.double != nil
        else { return nil }
        let others = json["others"] ?? []
        guard let others = others.array else { return nil }
        self.init(
            members: members.compactMap(\.string),
            others: others.compactMap(\.string),
            costUSDPerDay: cost.double
        )
        guard self.members.count == members.count, self.others.count == others.count else { return nil }
    }
}

extension Prices.Price {
    fileprivate var json: JSONValue {
        var object: JSONObject = ["input": JSONValue(input), "output": JSONValue(output)]
        object["cacheRead"] = cacheRead.map { JSONValue($0) }
        object["cacheWrite"] = cacheWrite.map { JSONValue($0) }
        return .object(object)
    }

    fileprivate init?(json: JSONValue) {
        guard let input = json["input"]?.double, let output = json["output"]?.double else { return nil }
        self.init(
            input: input,
            output: output,
            cacheRead: json["cacheRead"]?.double,
            cacheWrite: json["cacheWrite"]?.double
        )
        guard (cacheRead == nil) == (json["cacheRead"] == nil), (cacheWrite == nil) == (json["cacheWrite"] == nil)
        else {
            return nil
        }
    }
}
