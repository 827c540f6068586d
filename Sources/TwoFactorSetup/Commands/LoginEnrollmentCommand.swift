import ArgumentParser
import FixedMemory
import Glibc
import HostAccess
import LoginPolicy
import SystemFiles

/// Enrolls the calling user during a login. `pam_twofactor.so` starts it; they exchange lines on standard input and
/// standard output (`pam/enrollment-protocol.md`).
struct LoginEnrollmentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "login-enrollment", abstract: "Enroll the user during a login.",
    discussion: "For pam_twofactor.so alone; see enrollment-protocol.md.", shouldDisplay: false)

  @Argument(parsing: .captureForPassthrough, help: "The form of the dialogue, and the arguments of the account rule.")
  var words: [String] = []

  func run() throws {
    guard isatty(STDIN_FILENO) == 0, let form = words.first.flatMap(LoginDialogue.Form.init) else {
      throw SetupError(
        .usage, "login-enrollment is only for pam_twofactor.so", hint: "to enable two-factor, run: twofactor enable")
    }
    Interruptions.unblock()
    let dialogue = LoginDialogue(form)
    var session: Session?
    do {
      let settings = try HostSettings.load(arguments: Array(words.dropFirst()))
      dialogue.echoesCode = settings.echoesCode
      let opened = try Session(login: dialogue, settings: settings)
      session = opened
      try enroll(opened)
    } catch let end as GivenUp {
      return try dialogue.finish(.declined, because: end.reason.sentences)
    } catch let error as SetupError {
      return try report(error, session, through: dialogue)
    } catch is ConversationEnd {
      throw ExitCode(ExitStatus.refused.rawValue)
    }
    try dialogue.finish(.enrolled)
  }

  private func enroll(_ session: Session) throws {
    let isRequired = session.settings.enrollment.isRequired(from: session.settings.requiredFrom, now: SystemClock.now)
    // Fail before the first question.
    let standing = try session.store.standing()
    try session.requireFree(standing, force: false)
    try requireHelperSettings(session)
    let enabling = try Enabling(session, EnablingOptions(code: .parse([]), key: .parse([])))

    try session.show(introduction(session, isRequired: isRequired))
    try session.warnOfLateHome()
    if !isRequired, try !session.terminal.confirm("Set it up now?") {
      throw GivenUp(
        reason: SetupError(.refused, "two-factor login stays off", hint: "to enable it: twofactor enable"))
    }
    try KeptFiles.keeping(for: session.account) { files in try enabling.run(over: standing, &files) }
    // Two-factor is enabled, even if the user has disconnected.
    try? session.show(session.announcement)
    session.tell(.switchedOn)
  }

  /// `twofactor-helper` reads only the default configuration file, and no arguments.
  private func requireHelperSettings(_ session: Session) throws {
    guard session.store.helper != nil, geteuid() != 0 else { return }
    let usual = try HostSettings.load()
    guard usual.isHostStore != session.settings.isHostStore || usual.isPostgreSQL != session.settings.isPostgreSQL
    else { return }
    let store = session.settings.isPostgreSQL ? "PostgreSQL" : "the host store"
    throw SetupError(.configuration, "users can enroll in \(store) only if \(HostSettings.path) selects it")
  }

  private func introduction(_ session: Session, isRequired: Bool) -> String {
    let host = Session.hostName.printable
    let issuer = session.settings.issuer.flatMap { $0 == host ? nil : " (\($0.printable))" } ?? ""
    let state = isRequired ? "is required" : "can be set up now"
    let purpose = "a login then asks for a code from an app on your phone"
    let text = "Two-factor login \(state) on \(host)\(issuer): \(purpose).\n"
    guard !isRequired, let day = session.settings.requiredFrom else { return text }
    var date = ByteText(capacity: 10)
    day.append(to: &date)
    return text + "It is required from \(String(decoding: date.bytes)) on.\n"
  }

  private func report(_ error: SetupError, _ session: Session?, through dialogue: LoginDialogue) throws {
    if let session, case .enrolled? = try? session.store.standing() {
      return try dialogue.finish(
        .failed("two-factor was enabled meanwhile"),
        because: "Two-factor was enabled meanwhile: the next login asks for a code.")
    }
    try dialogue.finish(
      .failed(error.message),
      because: "Two-factor login could not be set up: \(error.message).\nContact the administrator.")
  }
}
