import CPAM
import CSetup
import Enrollment
import Glibc

/// One run of a service's PAM stack with a person at the terminal.
struct ServiceTest {
  /// What came of it.
  struct Result {
    /// Whether password and code were taken (pam_authenticate(3)).
    let isAuthenticated: Bool
    /// Whether the account may log in as well (pam_acct_mgmt(3)).
    let isPermitted: Bool
    /// PAM's words for it.
    let words: String
    /// What each module answered, in the order in which libpam asked them.
    let answers: [ModuleAnswer]

    /// The lines for a person.
    var text: String {
      guard !answers.isEmpty else { return outcome }
      var table = TextTable(["MODULE", "FOR", "ANSWER"])
      for answer in answers { table.add([answer.module.printable, answer.facility, answer.words]) }
      return "\n\(table.text)\n\(outcome)"
    }

    private var outcome: String {
      if isPermitted { return "The login would have gone through.\n" }
      let what =
        isAuthenticated ? "Password and code were taken, but the account may not log in" : "The login was refused"
      return "\(what): \(words.printable)\n"
    }
  }

  let service: String
  let account: UserAccount
  let terminal: Terminal

  /// Runs the stack.
  ///
  /// - Returns: What came of it.
  /// - Throws: ``SetupError``: ``ExitStatus/configuration`` for a host without the service; ``Interruption``.
  func run() throws -> Result {
    // Without this look libpam would take the service `other`.
    guard PAMConfiguration.folders.contains(where: { unsafe access("\($0)/\(service)", F_OK) == 0 }) else {
      throw SetupError(
        .configuration, "there is no PAM service \(service)", hint: "the services are the files in /etc/pam.d")
    }
    // What the modules log is written to standard error as well, each message as it comes.
    unsafe openlog("twofactor", LOG_PERROR, LOG_AUTHPRIV)
    defer { closelog() }

    let person = PersonAtTerminal(terminal)
    var conversation = unsafe pam_conv(
      conv: PersonAtTerminal.answer, appdata_ptr: Unmanaged.passUnretained(person).toOpaque())
    var handle: OpaquePointer?
    // libpam loads the modules of a service as soon as it reads it.
    csetup_record_modules()
    var status = unsafe pam_start(service, account.nameText, &conversation, &handle)
    guard let handle = unsafe handle else {
      throw SetupError(.configuration, "PAM cannot be used: error \(status)")
    }
    defer { _ = unsafe pam_end(handle, status) }
    if let name = unsafe ttyname(STDIN_FILENO) { _ = unsafe pam_set_item(handle, PAM_TTY, name) }

    if status == PAM_SUCCESS { status = unsafe pam_authenticate(handle, 0) }
    let isAuthenticated = status == PAM_SUCCESS
    if isAuthenticated { status = unsafe pam_acct_mgmt(handle, 0) }
    if let failure = person.failure { throw failure }
    // A password that has to be changed first is asked for at the login itself.
    let isPermitted = status == PAM_SUCCESS || (isAuthenticated && status == PAM_NEW_AUTHTOK_REQD)
    func words(_ status: Int32) -> String {
      unsafe pam_strerror(handle, status).map { unsafe String(cString: $0) } ?? "error \(status)"
    }
    return Result(
      isAuthenticated: isAuthenticated, isPermitted: isPermitted, words: words(status),
      answers: ModuleAnswer.recorded(words: words))
  }
}

/// What one module of a stack answered.
struct ModuleAnswer {
  /// The name of its file, as `pam_unix.so`.
  let module: String
  /// `auth` or `account`.
  let facility: String
  /// PAM's words for the answer.
  let words: String

  /// The answers in this process since csetup_record_modules.
  fileprivate static func recorded(words: (Int32) -> String) -> [ModuleAnswer] {
    var answers: [ModuleAnswer] = []
    var name: UnsafePointer<CChar>?
    var facility: UnsafePointer<CChar>?
    var answer: Int32 = 0
    while unsafe csetup_module_answer(Int32(answers.count), &name, &facility, &answer) == 1,
      let name = unsafe name, let facility = unsafe facility
    {
      unsafe answers.append(
        ModuleAnswer(module: String(cString: name), facility: String(cString: facility), words: words(answer)))
    }
    return answers
  }

  /// The object of `--json`.
  var json: JSONValue {
    .object([("module", .string(module)), ("facility", .string(facility)), ("answer", .string(words))])
  }
}
