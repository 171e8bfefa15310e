import EnsignTestSupport
import Foundation
import Testing

/// What lies in `<git dir>/ensign/` after accidents.
@Suite struct LeftoverTests {
    @Test("A damaged high-water mark is not a verdict, and verify says so; the next entry writes it anew")
    func highWater() throws {
        let host = try Host(fleet: FleetFixture())
        try host.scratch.write("fleet.git/ensign/high-water/prod", "what is this\n")
        let text = try host.ensign("verify", "--env", "prod")
        #expect(text.status == 0)
        #expect(text.output.hasPrefix("prod: intact"))
        #expect(text.errors.contains("prod: warning: this clone's high-water mark is damaged"))
        let json = try host.ensign("verify", "--output", "json")
        #expect(json.output.contains("\"caveat\": \"this clone's") && json.output.contains("\"caveat\": null"))
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        #expect(try host.ensign("verify", "--env", "prod").errors == "")
    }

    @Test("Temporary files that killed processes left are swept once they are old, wherever they lie")
    func temporaryFiles() throws {
        let host = try Host(fleet: FleetFixture())
        let folders = ["", "keys/", "locks/", "high-water/", "status/", "cache/", "cache/prod/", "state/prod/"]
        for folder in folders {
            for name in [".ensign-old", ".ensign-new", "mine"] {
                try host.scratch.write("fleet.git/ensign/\(folder)\(name)", "x")
                guard name != ".ensign-new" else { continue }
                let path = "\(host.bare)/ensign/\(folder)\(name)"
                let old = Date(timeIntervalSinceNow: -3_700)
                try FileManager.default.setAttributes([.modificationDate: old], ofItemAtPath: path)
            }
        }
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        for folder in folders {
            func exists(_ name: String) -> Bool { host.scratch.exists("fleet.git/ensign/\(folder)\(name)") }
            #expect(!exists(".ensign-old") && exists(".ensign-new") && exists("mine"), "\(folder)")
        }
    }
}
