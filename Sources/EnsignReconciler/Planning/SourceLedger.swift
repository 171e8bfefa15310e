import EnsignCrypto
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner

/// The ledgers that a plan asks, one for each rule.
final class SourceLedgers {
    private let site: Site
    private let environment: String
    private let now: Timestamp
    private var open: [PromotionRule: SourceLedger] = [:]

    init(_ site: Site, into environment: String, now: Timestamp) {
        (self.site, self.environment, self.now) = (site, environment, now)
    }

    func of(_ rule: PromotionRule) -> SourceLedger {
        if let known = open[rule] { return known }
        let ledger = SourceLedger(site, into: environment, rule, now: now)
        open[rule] = ledger
        return ledger
    }

    func keep() { for ledger in open.values { ledger.keep() } }
}

/// The ledger of the environment that versions come from, as far as it can be trusted here.
final class SourceLedger {
    private let site: Site
    private let environment: String
    let rule: PromotionRule
    private let now: Timestamp
    private var trusted: Result<RecordedEntry, Distrust>?
    private let file: StateFile<ProvenArtifacts>
    /// Read once; see ``keep()``.
    private lazy var known = file.known() ?? ProvenArtifacts()
    private var hasNews = false
    private var stops: [HaltRecord]?

    /// Why nothing can be said, in words.
    private struct Distrust: Error { var why: String }

    init(_ site: Site, into environment: String, _ rule: PromotionRule, now: Timestamp) {
        (self.site, self.environment, self.rule, self.now) = (site, environment, rule, now)
        file = StateFile(site.files, environment)
    }

    /// Writes down what was found out, once for a plan. Without the file it is found out again.
    func keep() {
        guard hasNews, site.reconciles else { return }
        try? file.write(known, inNewFolder: false)
        hasNews = false
    }

    /// What it says of an artifact.
    func record(_ agent: AgentID, _ version: VersionIdentity) -> SourceRecord {
        do {
            let tip = try trustedTip()
            if try pending().contains(where: { $0.scope.covers(agent) }) {
                return .unknown("'\(rule.source)' has stopped it, and does not have that on record yet")
            }
            if let found = known.record(agent, version.artifact, tip: tip.commit, enough: rule.soak) {
                return .record(found, entry: tip.commit)
            }
            let ledger = site.ledger(rule.source)
            let found = try ledger.stableRecord(of: agent, version, from: tip, enough: rule.soak, now: now)
            known.remember(found, agent, version.artifact, tip: tip.commit, enough: rule.soak)
            hasNews = true
            return .record(found, entry: tip.commit)
        } catch let distrust as Distrust {
            return .unknown(distrust.why)
        } catch {
            return .unknown("the ledger of '\(rule.source)' cannot be read: \(error)")
        }
    }

    /// Stops that are in effect there, and for which its ledger waits: where both environments are of one host.
    private func pending() throws -> [HaltRecord] {
        if let stops { return stops }
        let found = try site.pendingHalts(rule.source)
        stops = found
        return found
    }

    private func trustedTip() throws -> RecordedEntry {
        if let trusted { return try trusted.get() }
        do {
            let tip = try readTip()
            trusted = .success(tip)
            return tip
        } catch let distrust as Distrust {
            trusted = .failure(distrust)
            throw distrust
        }
    }

    /// The newest entry, once it is known who signed it.
    ///
    /// An entry names the one before it by its commit and its SHA-256, so whoever trusts the newest one has the whole
    /// chain; see docs/formats/ledger.md.
    private func readTip() throws -> RecordedEntry {
        let (source, ledger) = (rule.source, site.ledger(rule.source))
        guard let tip = try ledger.tip() else {
            throw Distrust(
                why: site.reconciles && site.settings.remote == nil
                    ? "'\(source)' has no ledger yet"
                    : "there is no ledger of '\(source)' here: git fetch \(site.settings.remote ?? "origin") 'refs/ensign/ledger/*:refs/ensign/ledger/*'"
            )
        }
        do { try ledger.checkHighWater(tip) } catch { throw Distrust(why: "\(error)") }
        // A developer's clone only shows what the host will decide.
        guard site.reconciles else { return tip }
        let own = try? LedgerKey.load(source, path: site.settings.signingKey(source, site.files))
        if let own, own.publicKey == tip.signer { return tip }
        let handsOver =
            tip.entry.kind == .key && own.map { tip.entry.keys?.contains($0.publicKey.line) == true } ?? false
        guard let pinned = handsOver ? own?.publicKey.line : site.settings.firstKey(source) else {
            throw Distrust(
                why:
                    "the key of '\(source)' here is not the one that signs its ledger: name its first key, git config ensign.\(source).firstKey SHA256:..."
            )
        }
        try verify(ledger, tip, pinned, isOwn: handsOver)
        return tip
    }

    /// - Parameter pinned: A key's line or fingerprint: the first one of the ledger; or this clone's own, to which the
    ///   newest entry hands over.
    private func verify(_ ledger: Ledger, _ tip: RecordedEntry, _ pinned: String, isOwn: Bool) throws {
        if !isOwn, known.isVerified(tip.commit, by: pinned) { return }
        let report = try Verifier(ledger).run()
        guard report.verdict == .intact else {
            throw Distrust(why: "the ledger of '\(rule.source)' is \(report.verdict)")
        }
        guard report.tip?.commit == tip.commit else {
            throw Distrust(why: "the ledger of '\(rule.source)' has just gone on")
        }
        let keys = try ledger.keys()
        let listed = isOwn ? tip.entry.keys ?? [] : keys.filter { $0.from == 0 }.map(\.line)
        let words = pinned.split(whereSeparator: \.isWhitespace).map(String.init)
        guard listed.contains(where: { matches($0, words) }) else {
            throw Distrust(
                why: "the ledger of '\(rule.source)' does not begin with the key in ensign.\(rule.source).firstKey"
            )
        }
        guard !isOwn else { return }
        known.verified = (tip.commit, pinned)
        hasNews = true
    }

    private func matches(_ line: String, _ words: [String]) -> Bool {
        guard let key = try? SSHPublicKey(line: line) else { return false }
        if words.contains(key.fingerprint) { return true }
        let parts = line.split(separator: " ").map(String.init)
        return parts.count >= 2 && words.contains(parts[1])
    }
}
