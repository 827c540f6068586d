import ArgumentParser
import CSetup
import Glibc

/// The whole program: from the command line to the exit status.
public enum SetupProgram {
  /// Runs the subcommand that the command line names, and ends the process.
  public static func main() -> Never {
    OutputStream.reserveStandardDescriptors()
    csetup_ignore_broken_pipes()
    // A process that dies of a signal leaves no picture of its memory. The limit is for what it starts; a handler that
    // core_pattern names is not bound by it (core(5)).
    csetup_close_memory()
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    // Files and directories are made with their own modes; nothing is made wider by a careless mask.
    umask(0o077)
    exit(run(arguments).rawValue)
  }

  /// The command line without the name of the program.
  private static var arguments: [String] {
    var arguments: [String] = []
    while let argument = unsafe csetup_argument(Int32(arguments.count) + 1) {
      unsafe arguments.append(String(cString: argument))
    }
    return arguments
  }

  private static func run(_ arguments: [String]) -> ExitStatus {
    let wantsJSON = arguments.prefix { $0 != "--" }.contains("--json")
    do {
      var command = try SetupCommand.parseAsRoot(arguments)
      try command.run()
      return .done
    } catch let interruption as Interruption {
      Interruptions.deliver(interruption.signal)
      return .refused
    } catch let error as SetupError {
      return tell(error, json: wantsJSON)
    } catch {
      return tellOfParsing(error, json: wantsJSON)
    }
  }

  /// Help and versions were asked for and go to standard output; everything else is a mistake in the command
  /// line.
  private static func tellOfParsing(_ error: any Error, json: Bool) -> ExitStatus {
    if let code = error as? ExitCode { return ExitStatus(rawValue: code.rawValue) }
    guard SetupCommand.exitCode(for: error) != .success else {
      do {
        try OutputStream.standardOutput.write(SetupCommand.fullMessage(for: error) + "\n")
        return .done
      } catch {
        return tell(error as? SetupError ?? SetupError(.inputOutput, "cannot write"), json: json)
      }
    }
    let usage = SetupCommand.fullMessage(for: error).split(separator: "\n")
      .first { $0.hasPrefix("Usage: ") }?.dropFirst("Usage: ".count)
    let name = usage?.split(separator: " ").prefix { $0.first != "[" && $0.first != "<" && $0.first != "-" }
    let message = SetupCommand.message(for: error)
    return tell(
      SetupError(.usage, message.asErrorMessage, hint: "see: \(name?.joined(separator: " ") ?? "twofactor") --help"),
      json: json)
  }

  private static func tell(_ error: SetupError, json: Bool) -> ExitStatus {
    // Where standard error cannot be written either, the exit status is all that is left to say.
    try? OutputStream.standardError.write(json ? error.json.text + "\n" : error.text)
    return error.status
  }
}

extension String {
  /// A sentence in the form of an error: lower case, one line, no full stop.
  fileprivate var asErrorMessage: String {
    var text = split(separator: "\n").map { $0.drop { $0 == " " } }.joined(separator: " ")
    if text.hasSuffix(".") { text.removeLast() }
    return text.prefix(1).lowercased() + text.dropFirst()
  }
}
