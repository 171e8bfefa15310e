import EnsignJudge
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignCommands

@Suite("A line of samples")
struct SampleLineTests {
    private struct Read: Equatable {
        var trial: String
        var metric: String
        var isCanary: Bool
        var value: Double
    }

    private func read(_ line: String) -> Read? {
        unsafe Array(line.utf8).withUnsafeBytes { bytes in
            guard case .sample(let sample) = unsafe SampleLine.read(bytes) else { return nil }
            return Read(
                trial: unsafe String(decoding: sample.trial, as: UTF8.self),
                metric: unsafe String(decoding: sample.metric, as: UTF8.self),
                isCanary: unsafe sample.variant == .canary,
                value: unsafe sample.value
            )
        }
    }

    @Test("Members may be in any order, with blanks and with others among them")
    func order() {
        let sample = Read(trial: "\"a\"", metric: "success", isCanary: true, value: 1)
        for line in [
            #"{"trial":"a","metric":"success","variant":"canary","value":1}"#,
            #"{ "value" : 1.0 , "variant": "canary", "trial": "a", "metric": "success" }"#,
            #"{"value":1e0,"variant":"canary","trial":"a","metric":"success","more":{"trial":"b"}}"#,
            #"{"value":true,"variant":"canary","trial":"a","metric":"\u0073uccess"}"#,
        ] {
            #expect(read(line) == sample, "\(line)")
        }
    }

    @Test(
        "A number is the nearest double, whichever way it is read",
        arguments: ["0.1", "123456.789", "9007199254740993", "1e-7", "-0.25", "0.30000000000000004"]
    )
    func numbers(_ text: String) {
        #expect(read(#"{"metric":"m","variant":"stable","value":\#(text)}"#)?.value == Double(text))
    }

    @Test("What is not a sample is a problem, and no line ends the process")
    func problems() {
        for line in [
            "[]", "{", "nonsense", #"{"metric":"m","variant":"stable"}"#,
            #"{"metric":"m","variant":"other","value":1}"#,
            #"{"metric":1,"variant":"stable","value":1}"#, #"{"metric":"m","metric":"m","variant":"stable","value":1}"#,
            #"{"metric":"m","variant":"stable","value":01}"#, #"{"metric":"m","variant":"stable","value":"1"}"#,
        ] {
            #expect(read(line) == nil, "\(line)")
        }
        for text in Hostile.texts {
            _ = read(text)
            _ = read(#"{"metric":"m","variant":"stable","value":\#(text)}"#)
        }
    }
}
