import Enrollment
import Glibc

/// The files that a subcommand makes for the user before a change is in force. They stay when it is, and are
/// taken back in every other case: while this lives, signals wait until a question is asked or
/// ``checkForInterruption()`` looks for them.
struct KeptFiles: ~Copyable {
  private let interruptions: Interruptions
  private let account: UserAccount
  private var files: [KeptFile] = []

  private init(_ account: UserAccount) throws {
    interruptions = try Interruptions()
    self.account = account
  }

  /// Runs `body`, and keeps the files of an account that it made where it comes to its end.
  static func keeping(for account: UserAccount, _ body: (inout KeptFiles) throws -> Void) throws {
    var kept = try KeptFiles(account)
    do {
      try body(&kept)
    } catch {
      kept.files.forEach { $0.withdraw() }
      throw error
    }
    kept.files.forEach { $0.keep() }
    // What came after the change was made changes nothing.
    while kept.interruptions.next() != nil {}
  }

  /// Refuses files that are there already: before a question is asked, and a code used up, for nothing.
  ///
  /// - Parameters:
  ///   - paths: Where they are to go; nil for none.
  ///   - force: Whether they may take the place of what is there.
  ///   - account: Whose they are to be.
  /// - Throws: ``SetupError`` where one is there, and may not be replaced.
  static func requireAbsent(_ paths: String?..., unless force: Bool, for account: UserAccount) throws {
    for case let path? in paths where !force { try KeptFile.requireAbsent(path, for: account) }
  }

  /// Writes a file.
  ///
  /// - Parameters:
  ///   - path: Where it goes.
  ///   - contents: What is in it.
  ///   - force: Whether it may take the place of a file that is there.
  /// - Throws: ``SetupError`` where it cannot be written.
  mutating func write(_ path: String, contents: [UInt8], force: Bool) throws {
    files.append(try KeptFile(path, contents: contents, force: force, for: account))
  }

  /// Ends the command where a signal came that asks for it; after this, there is only the change itself.
  ///
  /// - Throws: ``Interruption``.
  func checkForInterruption() throws {
    while let signal = interruptions.next() {
      guard signal == SIGTSTP else { throw Interruption(signal: signal) }
      Interruptions.deliver(signal)
    }
  }
}
