import ArgumentParser
import CSetup
import Glibc
import HostAccess

struct SetupCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "twofactor",
    abstract: "Set up two-factor login for your account.",
    discussion: """
      With two-factor on, a login asks for the password and then for a code from an app on your phone. Every \
      subcommand acts for the account that runs it; root can name another account with --user.

      Start with: twofactor enable
      """,
    version: Version.current,
    subcommands: [
      EnableCommand.self, DisableCommand.self, StatusCommand.self, BackupCodesCommand.self, DeviceCommand.self,
      ShowCommand.self, VerifyCommand.self, ImportCommand.self, UsersCommand.self, UnlockCommand.self,
      MoveCommand.self, FleetCommand.self, DoctorCommand.self, MetricsCommand.self, TestCommand.self,
      LoginEnrollmentCommand.self,
    ])
}

/// The command, from its arguments to its exit status.
public enum SetupProgram {
  /// Runs the subcommand that the arguments name, and exits.
  public static func main() -> Never {
    OutputStream.reserveStandardDescriptors()
    csetup_ignore_write_signals()
    // Disable core dumps: of child processes by the limit; of this one by PR_SET_DUMPABLE, because a core_pattern
    // handler ignores the limit (core(5)).
    csetup_close_memory()
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    // SAFETY: the structure outlives the call.
    unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    umask(0o077)
    exit(run(Invocation.arguments).rawValue)
  }

  private static func run(_ arguments: [String]) -> ExitStatus {
    let wantsJSON = arguments.prefix { $0 != "--" }.contains("--json")
    do {
      try KeyArgument.reject(arguments)
      var command = try SetupCommand.parseAsRoot(arguments)
      try command.run()
      return .done
    } catch let interruption as Interruption {
      if let hint = interruption.hint {
        _ = report(SetupError(.refused, "interrupted, so nothing was changed", hint: hint), json: wantsJSON)
      }
      Interruptions.deliver(interruption.signal)
      return .refused
    } catch let error as SetupError {
      return report(KeyArgument.masking(error, arguments), json: wantsJSON)
    } catch let end as GivenUp {
      return report(end.reason, json: wantsJSON)
    } catch {
      return reportParsing(error, arguments, json: wantsJSON)
    }
  }

  private static func reportParsing(_ error: any Error, _ arguments: [String], json: Bool) -> ExitStatus {
    if let code = error as? ExitCode { return ExitStatus(rawValue: code.rawValue) }
    guard SetupCommand.exitCode(for: error) != .success else {
      do {
        try OutputStream.standardOutput.write(SetupCommand.fullMessage(for: error) + "\n")
        return .done
      } catch {
        return report(error as? SetupError ?? SetupError(.inputOutput, "cannot write"), json: json)
      }
    }
    // A shell that completes a line shows standard error in the middle of it.
    if arguments.first == "---completion" { return .usage }
    return report(usageError(error, arguments), json: json)
  }

  /// The error of arguments that cannot be parsed.
  static func usageError(_ error: any Error, _ arguments: [String]) -> SetupError {
    if let unknown = SubcommandHint.unknown(in: arguments) {
      let hint = unknown.meant.map { "did you mean: \($0)" } ?? "see: twofactor --help"
      let error = SetupError(.usage, "no such subcommand: \(unknown.word.printable)", hint: hint)
      return KeyArgument.masking(error, arguments, hidesCodes: true)
    }
    let usage = SetupCommand.fullMessage(for: error).split(separator: "\n")
      .first { $0.hasPrefix("Usage: ") }?.dropFirst("Usage: ".count)
    let name = usage?.split(separator: " ").prefix { $0.first != "[" && $0.first != "<" && $0.first != "-" }
    let hint = "see: \(name?.joined(separator: " ") ?? "twofactor") --help"
    let error = SetupError(.usage, SetupCommand.message(for: error).asErrorMessage, hint: hint)
    return KeyArgument.masking(error, arguments, hidesCodes: true)
  }

  private static func report(_ error: SetupError, json: Bool) -> ExitStatus {
    // If this fails, the exit status still reports the error.
    try? OutputStream.standardError.write(json ? error.json.text + "\n" : error.text)
    return error.status
  }
}

extension String {
  /// Lower case, one line, no full stop.
  fileprivate var asErrorMessage: String {
    var text = split(separator: "\n").map { $0.drop { $0 == " " } }.joined(separator: " ")
    if text.hasSuffix(".") { text.removeLast() }
    return text.prefix(1).lowercased() + text.dropFirst()
  }
}
