import CPAM
import CSetup
import FixedMemory
import Glibc
import HostAccess

/// Runs the PAM stack of a service at the terminal (`twofactor test`).
struct ServiceTest {
  struct Result {
    /// Whether pam_authenticate(3) succeeded.
    let isAuthenticated: Bool
    /// Whether pam_acct_mgmt(3) succeeded too.
    let isPermitted: Bool
    let words: String
    let answers: [ModuleAnswer]

    func text(on terminal: Terminal) -> String {
      guard !answers.isEmpty else { return outcome }
      var table = TextTable(["MODULE", "FOR", "ANSWER"])
      for answer in answers { table.add([answer.module.printable, answer.facility, answer.words]) }
      return "\n\(terminal.hasOneColumn ? table.records : table.text)\n\(outcome)"
    }

    private var outcome: String {
      if isPermitted { return "The login would succeed.\n" }
      let outcome =
        isAuthenticated ? "Authentication succeeded, but the account may not log in" : "The login was refused"
      return "\(outcome): \(words.printable)\n"
    }
  }

  let service: String
  let account: UserAccount
  let terminal: Terminal
  /// Whether to reply like a program with a single password field.
  let isSingleField: Bool

  /// - Throws: ``SetupError`` with ``ExitStatus/configuration`` if the service does not exist, or ``Interruption``.
  func run() throws -> Result {
    // libpam would fall back to `other`.
    guard PAMService.folders.contains(where: { "\($0)/\(service)".isAccessible(F_OK) }) else {
      throw SetupError(
        .configuration, "there is no PAM service \(service)", hint: "the services are the files in /etc/pam.d")
    }
    let reply = isSingleField ? try singleReply() : nil
    // Copy the modules' log messages to standard error.
    let identity: StaticString = "twofactor"
    // SAFETY: openlog(3) keeps the pointer; a static string is immortal and ends with NUL.
    unsafe openlog(UnsafeRawPointer(identity.utf8Start).assumingMemoryBound(to: CChar.self), LOG_PERROR, LOG_AUTHPRIV)
    defer { closelog() }

    // Call this before pam_start(3), which loads the modules.
    csetup_record_modules()
    let result = try PAMTransaction.run(
      service: service, for: account, at: terminal, answering: isSingleField ? .singleField : .all, with: reply)
    // A login would ask for a new password and succeed.
    let isPermitted = result.status == PAM_SUCCESS || (result.isAuthenticated && result.status == PAM_NEW_AUTHTOK_REQD)
    return Result(
      isAuthenticated: result.isAuthenticated, isPermitted: isPermitted, words: PAMTransaction.text(of: result.status),
      answers: ModuleAnswer.recorded())
  }

  /// Reads password and code, and joins them. Without a terminal, one line of input can contain both.
  private func singleReply() throws -> SecretBuffer {
    var reply = try terminal.ask("Password: ", echo: false)
    let code = try terminal.ask("Code, appended to the password: ", echo: false, endIsEmpty: true)
    guard reply.append(code.bytes) else { throw SetupError(.refused, "answer too long") }
    return reply
  }
}

struct ModuleAnswer {
  /// For example `pam_unix.so`.
  let module: String
  let facility: String
  let words: String

  fileprivate static func recorded() -> [ModuleAnswer] {
    var answers: [ModuleAnswer] = []
    var name: UnsafePointer<CChar>?
    var facility: UnsafePointer<CChar>?
    var answer: Int32 = 0
    // SAFETY: both texts are C strings, copied before the next csetup_record_modules().
    while unsafe csetup_module_answer(Int32(answers.count), &name, &facility, &answer) == 1,
      let name = unsafe name, let facility = unsafe facility
    {
      unsafe answers.append(
        ModuleAnswer(
          module: String(cString: name), facility: String(cString: facility), words: PAMTransaction.text(of: answer)))
    }
    return answers
  }

  var json: JSONValue {
    .object([("module", .string(module)), ("facility", .string(facility)), ("answer", .string(words))])
  }
}
