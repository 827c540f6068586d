internal import FixedMemory
internal import SystemFiles

/// An enrolment as it was at one moment, read without its lock: for whoever only looks and is not to wait for a login
/// that holds it. What it says may be overtaken by the time it is told.
public struct EnrollmentSnapshot: ~Copyable {
  /// What the user enrolled with.
  public let credential: Credential

  /// What logins had used up of it.
  public let state: LoginState

  /// How often it is looked again where somebody was writing just then, and how long it is waited before, in
  /// milliseconds.
  private static var tries: Int { 10 }
  private static var pause: Int { 2 }

  /// Reads both files, and changes nothing.
  ///
  /// - Parameter directory: The directory of the enrolment.
  /// - Throws: Why they cannot be read or trusted. A state that was lost stays so: the next one who takes the lock
  ///   makes it anew.
  public init(of directory: borrowing EnrollmentDirectory) throws(EnrollmentFailure) {
    var tries = Counter(to: Self.tries)
    while tries.next() != nil {
      let credential = try directory.readCredential()
      let file = try StateFile(unlocked: directory.openFile("state", for: .read))
      let status = try directory.checkedStatus(of: file.file, "state")
      // A credential that was replaced in between has another generation; a slot that is being written has none.
      var state = LoginState(generation: credential.generation)
      if status.size == Int64(StateFile.length),
        case .current = try file.read(for: credential.generation, into: &state)
      {
        self.credential = credential
        self.state = state
        return
      }
      SystemClock.pause(milliseconds: Self.pause)
    }
    throw EnrollmentFailure(
      .corrupt, "state", "was lost or damaged; every code so far and every backup code counts as used")
  }
}
