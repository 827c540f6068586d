import FixedMemory
import Testing
import Verification

@testable import LoginPolicy

@Suite struct PolicyTests {
  /// For each option: arguments that are read, with what they do, and arguments that are refused.
  private static let table: [PolicyOption: (good: [(String, @Sendable (Policy) -> Bool)], bad: [String])] = [
    .nullok: (
      [
        ("nullok", { $0.passesUnenrolled }), ("nullok=yes", { $0.passesUnenrolled }),
        ("nullok=no", { !$0.passesUnenrolled }),
      ],
      ["nullok=", "nullok=1", "nullok=YES", "nullok ", "Nullok", "nullok=yes "]
    ),
    .directory: (
      ["~/.config/2fa", "%h/2fa", "/var/lib/twofactor/%u", "/a", "/100%%/%u-%u"].map { path in
        ("directory=\(path)", { $0.directory.string == path })
      },
      [
        "directory", "directory=", "directory=~", "directory=%h", "directory=~/", "directory=2fa",
        "directory=~root/2fa",
        "directory=/", "directory=//a", "directory=/a/", "directory=/a/../b", "directory=/a/./b", "directory=/a%",
        "directory=/a%x", "directory=/a\n", "directory=%u/a", "directory=/" + String(repeating: "x", count: 511),
      ]
    ),
    .prompt: (
      [
        ("prompt=Code: ", { $0.prompt.string == "Code: " }), ("prompt=x", { $0.prompt.string == "x" }),
        ("prompt==", { $0.prompt.string == "=" }), ("prompt=Ключ: ", { $0.prompt.string == "Ключ: " }),
        ("prompt=" + String(repeating: "x", count: 128), { $0.prompt.count == 128 }),
      ],
      ["prompt", "prompt=", "prompt=a\nb", "prompt=\u{1b}[2J", "prompt=" + String(repeating: "x", count: 129)]
    ),
    .echoCode: (
      [("echo_code", { $0.echoesCode }), ("echo_code=no", { !$0.echoesCode })], ["echo_code=on", "echo-code"]
    ),
    .window: (
      (0...10).map { window in ("window=\(window)", { $0.limits.window == UInt64(window) }) },
      ["window", "window=", "window=-1", "window=11", "window=01", "window=1 ", "window=0x1", "window=1.0"]
    ),
    .lookAhead: (
      [1, 10, 100].map { count in ("look_ahead=\(count)", { $0.limits.lookAhead == UInt64(count) }) },
      ["look_ahead", "look_ahead=0", "look_ahead=101"]
    ),
    .maxFailures: (
      [1, 5, 100].map { count in ("max_failures=\(count)", { $0.limits.maximumFailures == UInt32(count) }) },
      ["max_failures", "max_failures=0", "max_failures=101", "max_failures=99999999999999999999"]
    ),
    .backupCodes: (
      [("backup_codes=no", { !$0.limits.acceptsBackupCodes }), ("backup_codes=yes", { $0.limits.acceptsBackupCodes })],
      ["backup_codes=never"]
    ),
    .debug: ([("debug", { $0.isDebugging })], ["debug=2"]),
  ]

  private func policy(_ arguments: [String]) throws(PolicyProblem) -> Policy {
    var parser = PolicyParser()
    for argument in arguments { try parser.read(Array(argument.utf8).span) }
    return parser.policy
  }

  private func problem(_ arguments: [String]) -> PolicyProblem? {
    do throws(PolicyProblem) {
      _ = try policy(arguments)
      return nil
    } catch {
      return error
    }
  }

  @Test func everyOptionIsTested() {
    let options = (0..<PolicyOption.count).compactMap(PolicyOption.init(rawValue:))
    #expect(Set(options) == Set(Self.table.keys))
    #expect(PolicyOption(rawValue: PolicyOption.count) == nil)
    #expect(Set(options.map { text($0.name) }).count == options.count)
  }

  @Test func everyOptionDoesWhatItSays() throws {
    for (option, rows) in Self.table {
      for (argument, holds) in rows.good {
        #expect(argument.hasPrefix(text(option.name)))
        #expect(try holds(policy([argument])), "\(argument)")
      }
    }
  }

  @Test func everythingElseIsRefused() {
    for argument in Self.table.values.flatMap(\.bad) { #expect(problem([argument]) != nil, "\(argument)") }
    for argument in ["", "=", "=yes", "unknown", "unknown=1", "debug\u{0}", "sufficient", "null", "nullokay", "\u{ff}"]
    {
      #expect(problem([argument])?.problem.string == "there is no such option", "\(argument)")
    }
  }

  @Test func anOptionGivenTwiceIsRefused() {
    for rows in Self.table.values {
      guard let argument = rows.good.first?.0 else { continue }
      #expect(problem([argument, argument])?.problem.string == "was given before")
    }
    #expect(problem(["nullok", "nullok=no"])?.problem.string == "was given before")
  }

  @Test func withoutArgumentsTheDefaultsHold() throws {
    let policy = try policy([])
    #expect(!policy.passesUnenrolled)
    #expect(policy.directory.string == "~/.twofactor")
    #expect(policy.prompt.string == "Verification code: ")
    #expect(!policy.echoesCode)
    #expect(policy.limits == VerificationLimits())
    #expect(policy.limits.window == 1)
    #expect(policy.limits.lookAhead == 10)
    #expect(policy.limits.maximumFailures == 5)
    #expect(policy.limits.acceptsBackupCodes)
    #expect(!policy.isDebugging)
  }

  @Test func theProblemNamesTheArgument() {
    var description = ByteText<200>()
    problem(["windows=3"])?.describe(into: &description)
    #expect(description.string == "argument \"windows=3\": there is no such option")
  }

  private func text(_ literal: Literal) -> String { literal.string }
}

extension Literal {
  /// The text as a string.
  var string: String { String(decoding: (0..<byteCount).compactMap { byte(at: $0) }, as: UTF8.self) }
}
