import ArgumentParser
import HostAccess
import Testing

@testable import TwoFactorSetup

@Suite struct CommandLineTests {
  /// Every option of `enable` with valid and invalid values. ``everyOptionOfEnableIsInTheTable()`` fails for an option
  /// without a line here.
  private static let options: [(option: String, good: [String], bad: [String])] = [
    ("--name", ["phone", "my 2nd phone", "Zoës"], ["", " x", "a\nb", String(repeating: "x", count: 65)]),
    ("--issuer", ["Example Ltd"], ["", "a:b", String(repeating: "x", count: 129)]),
    ("--account", ["alice@example.org"], ["", "a:b"]),
    ("--type", ["totp", "hotp"], ["TOTP", "steam"]),
    ("--algorithm", ["sha1", "sha256", "sha512"], ["md5", "SHA1"]),
    ("--digits", ["6", "8"], ["7", "0", "-6", "256", "six"]),
    ("--period", ["15", "30", "300"], ["14", "301", "0", "-30", "x", "99999999999999999999"]),
    ("--ask-key", [], []),
    ("--qr", ["auto", "utf8", "ansi", "ascii", "none"], ["png"]),
    ("--qr-file", ["code.png", "/tmp/code.SVG"], ["code.jpg", "png", ""]),
    ("--backup-codes", ["0", "10", "32"], ["-1", "33", "x"]),
    ("--backup-codes-file", ["codes.txt"], []),
    ("--no-confirm", [], []),
    ("--yes", [], []),
    ("--force", [], []),
    ("--user", ["alice"], []),
    ("--json", [], []),
  ]

  @Test func everyOptionOfEnableIsInTheTable() {
    let help = EnableCommand.helpMessage()
    let shown = help.split { !$0.isLetter && $0 != "-" && !$0.isNumber }.map(String.init)
      .filter { $0.hasPrefix("--") && $0 != "--help" && $0 != "--version" }
    #expect(Set(shown) == Set(Self.options.map(\.option)).union(["--counter"]))
  }

  @Test func valuesOfEveryOptionAreChecked() throws {
    for (option, good, bad) in Self.options {
      if good.isEmpty { _ = try EnableCommand.parse([option]) }
      for value in good { _ = try EnableCommand.parse(["\(option)=\(value)"]) }
      for value in bad {
        let error = #expect(throws: (any Error).self, "\(option)=\(value)") {
          try EnableCommand.parse(["\(option)=\(value)"])
        }
        if let error { #expect(EnableCommand.exitCode(for: error).rawValue == 64) }
      }
    }
  }

  @Test(arguments: [
    ["--from", "google-authenticator"], ["--from", "oath", "--all"], ["--from=uri", "-"], ["--all", "file"],
    ["--backup-codes", "32", "--backup-codes-file", "x"], ["--no-confirm", "--yes", "--force", "--qr", "none"],
  ])
  func validImportOptionsAreAccepted(words: [String]) throws { _ = try ImportCommand.parse(words) }

  @Test(arguments: [
    ["--from", "pgp"], ["--all", "--user", "alice"], ["--all", "--from", "uri"], ["--all", "--qr", "auto"],
    ["--all", "--qr-file", "x.png"], ["--all", "--backup-codes", "1"], ["--backup-codes", "33"],
    ["--backup-codes-file", "x"], ["--name", ""], ["a", "b"], ["--digits", "7"],
  ])
  func invalidImportOptionsAreUsageErrors(words: [String]) {
    let error = #expect(throws: (any Error).self) { try ImportCommand.parse(words) }
    if let error { #expect(ImportCommand.exitCode(for: error).rawValue == 64) }
  }

  @Test func counterRequiresHOTP() throws {
    _ = try EnableCommand.parse(["--type", "hotp", "--counter", "18446744073709551614"])
    for counter in ["18446744073709551615", "-1", "x"] {
      #expect(throws: (any Error).self) { try EnableCommand.parse(["--type", "hotp", "--counter", counter]) }
    }
    #expect(throws: (any Error).self) { try EnableCommand.parse(["--counter", "1"]) }
  }

  @Test func periodRequiresTOTP() {
    #expect(throws: (any Error).self) { try EnableCommand.parse(["--type", "hotp", "--period", "60"]) }
  }

  @Test(arguments: [
    [], ["enroll=require", "conf=/etc/x.conf"], ["debug", "prompt=Code: "], ["--help"], ["--", "-x"], [""],
  ])
  func loginEnrollmentPassesItsArgumentsOn(arguments: [String]) throws {
    let command = try SetupCommand.parseAsRoot(["login-enrollment"] + arguments) as? LoginEnrollmentCommand
    #expect(command?.words == arguments)
  }

  @Test func loginEnrollmentIsHidden() {
    #expect(!SetupCommand.helpMessage().contains("login-enrollment"))
    #expect(!SetupCommand.completionScript(for: .bash).contains("login-enrollment"))
  }

  @Test(arguments: [["fleet", "status"], ["fleet", "rekey"], ["metrics"]])
  func aCommandAboutAllUsersRefusesAUser(arguments: [String]) {
    #expect(throws: (any Error).self) { try SetupCommand.parseAsRoot(arguments + ["--user", "alice"]) }
  }

  @Test func everySubcommandHasUserAndJSONOptions() throws {
    let all = SetupCommand.configuration.subcommands.filter { $0.configuration.shouldDisplay }
    for subcommand in all.flatMap({ [$0] + $0.configuration.subcommands }) {
      #expect(!subcommand.configuration.abstract.isEmpty && !subcommand.configuration.discussion.isEmpty)
      guard subcommand.configuration.subcommands.isEmpty else { continue }
      let help = SetupCommand.helpMessage(for: subcommand)
      #expect(help.contains("--user <name>") && help.contains("--json"))
    }
  }

  /// The message and hint of arguments that cannot be used; nil if they can.
  private func failure(of arguments: [String]) -> SetupError? {
    do {
      try KeyArgument.reject(arguments)
      _ = try SetupCommand.parseAsRoot(arguments)
      return nil
    } catch let error as SetupError {
      return KeyArgument.masking(error, arguments)
    } catch {
      return SetupProgram.usageError(error, arguments)
    }
  }

  @Test(arguments: [
    ("enabel", "enable"), ("stauts", "status"), ("devices add phone", "device add"), ("list", "device list"),
    ("resync phone", "device resync NAME"), ("on", "enable"), ("setup --user alice", "enable"),
    ("reset", "unlock --user NAME, or twofactor disable"), ("device ad phone", "device add"),
    ("device delete phone", "device remove NAME"), ("device enable", "enable"), ("backup", "backup-codes"),
    ("verfiy", "verify"), ("tset", "test"), ("Enable", "enable"), ("off", "disable"),
  ])
  func aMistypedSubcommandIsRecognized(line: String, meant: String) throws {
    let problem = try #require(failure(of: line.split(separator: " ").map(String.init)))
    #expect(problem.status == .usage && problem.message.hasPrefix("no such subcommand: "))
    #expect(problem.hint == "did you mean: twofactor \(meant)")
  }

  @Test func anUnknownSubcommandHasTheGeneralHint() {
    #expect(failure(of: ["frobnicate"])?.hint == "see: twofactor --help")
    #expect(failure(of: ["enable", "phone"])?.message == "unexpected argument 'phone'")
    #expect(failure(of: ["--user", "alice", "status"])?.message == "unknown option '--user'")
  }

  private static let key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
  private static let uri = "otpauth://totp/x?secret=\(key)"

  @Test(arguments: [
    ["import", uri], ["enable", uri], ["device", "add", uri.uppercased()], ["import", "--from=\(uri)"], [uri],
    ["import", "--from", uri], ["enable", "--issuer", "see \(uri)"], ["device", "remove", uri],
    ["status", uri, "--json"],
    ["import", "otpauth-migration://offline?data=AAAA\(key)"], ["import", "totp/x?secret=\(key)"],
    ["enable", "--ask-key", key], ["enable", "--ask-key=\(key)"], ["enable", "--secret=\(key.lowercased())"],
    ["enable", "--secret", key], ["device", "add", key], ["device", "add", "gezd gnbv gy3t qojq gezd gnbv gy3t qojq"],
    ["enable", "-k\(key)"], ["enable", "--digits", key], ["import", "file", key], ["import", "--from", key],
    ["enable", "--name", key], ["enable", "--qr", "3132333435363738393031323334353637383930"], [key],
  ])
  func noMessageRepeatsAKey(arguments: [String]) throws {
    let problem = try #require(failure(of: arguments))
    #expect(problem.status == .usage)
    for text in [problem.message, problem.hint ?? "", problem.text, problem.json.text] {
      for part in arguments where part.count > 16 { #expect(!text.contains(part), "\(text)") }
      #expect(!text.lowercased().contains("gezdg") && !text.contains("gezd gnbv") && !text.contains("31323334"))
    }
  }

  @Test(arguments: [["verify", "123456"], ["disable", "ABCDE-FGH23"], ["enable", "--ask-key=12345678"]])
  func noMessageRepeatsACode(arguments: [String]) throws {
    let problem = try #require(failure(of: arguments))
    #expect(!problem.text.contains("12345") && !problem.text.contains("ABCDE"))
    #expect(problem.hint?.hasPrefix("keys and codes are typed when asked") == true)
  }

  @Test func aFileThatDoesNotExistIsNamedUnlessItLooksLikeAKey() {
    func masked(_ name: String) -> String {
      KeyArgument.masking(SetupError(.noSuchFile, "\(name): no such file"), ["import", name]).message
    }
    #expect(masked(Self.key) == "…: no such file")
    for name in ["keys.txt", "/home/alice/.google_authenticator", "backup20241127keys", "key"] {
      #expect(masked(name) == "\(name): no such file")
    }
  }

  @Test(arguments: ["phone", "YubiKey 5C NFC", "thinkpad-x230-2024", "Alices iPhone 15 Pro Max", "WORKSTATIONS"])
  func deviceNamesAreNoKeys(name: String) throws {
    _ = try SetupCommand.parseAsRoot(["device", "add", name])
    #expect(failure(of: ["device", "add", name]) == nil)
  }
}
