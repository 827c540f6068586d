internal import FixedMemory
public import SystemFiles

/// What the setup command does to an enrolment. Every change shows whole or not at all, whenever the machine
/// stops.
extension EnrollmentDirectory {
  /// Creates an enrolment: both files complete in a directory of another name, which then gets its own.
  ///
  /// - Parameters:
  ///   - path: Where the directory is to lie. An empty directory may be there already.
  ///   - account: Whose it is.
  ///   - credential: The text of the credential, from ``CredentialEncoder``.
  ///   - state: The state to begin with.
  ///   - tag: A random number for the other name.
  ///   - identity: Becomes the user's where the path needs it.
  /// - Throws: Why it could not be created; then nothing has changed. Where an enrolment is there already, the
  ///   error is ENOTEMPTY or EEXIST.
  public static func create(
    _ path: borrowing EnrollmentPath, of account: borrowing Account, credential: Span<UInt8>,
    state: borrowing LoginState, tag: UInt64,
    identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    let parent = try EnrollmentDirectory(parentOf: path, of: account, identity: &identity)
    parent.eraseLeftovers(of: path)
    let name = path.lastName
    let temporary = otherName(of: path, newInfix, tag)
    try attempt("directory", "cannot be created", parent.directory.makeDirectory(temporary, permissions: 0o700))
    do throws(EnrollmentFailure) {
      try parent.fill(temporary, credential: credential, state: state)
      let flusher = try parent.openForFlushing()
      try parent.rename(temporary, to: name)
      do throws(Errno) {
        try flusher.synchronize()
      } catch {
        try parent.rename(name, to: temporary)
        throw EnrollmentFailure(.io, "directory", "cannot be flushed", error: error)
      }
    } catch {
      parent.erase(temporary)
      throw error
    }
  }

  /// Replaces the credential of an enrolment whose lock is held. The state of the new one is on the disk before
  /// the new one is, beside that of the old, so that whichever is found has its state.
  ///
  /// - Parameters:
  ///   - enrollment: The enrolment.
  ///   - credential: The text of the new credential, with a generation of its own.
  ///   - state: Its state.
  /// - Throws: Why it could not be replaced; then the old one is in force.
  public borrowing func replace(
    _ enrollment: borrowing LockedEnrollment, with credential: Span<UInt8>, state: borrowing LoginState
  ) throws(EnrollmentFailure) {
    try enrollment.save(state)
    let (name, temporary): (Literal, Literal) = ("credential", "credential.new")
    // One that an earlier attempt left is nobody's: whoever writes one holds the lock.
    directory.removeFile(temporary)
    do throws(EnrollmentFailure) {
      try write(credential, to: temporary)
      let flusher = try openForFlushing()
      try rename(temporary, to: name)
      do throws(Errno) {
        try flusher.synchronize()
      } catch {
        // The old one is put back as it was: its state still stands beside that of the new one.
        try write(enrollment.credential.text.bytes, to: temporary)
        try rename(temporary, to: name)
        throw EnrollmentFailure(.io, "directory", "cannot be flushed", error: error)
      }
    } catch {
      directory.removeFile(temporary)
      throw error
    }
  }

  /// Ends an enrolment whose lock is held: the directory gets another name, and then its files are erased.
  ///
  /// - Parameters:
  ///   - path: Where the directory lies.
  ///   - account: Whose it is.
  ///   - tag: A random number for the other name.
  ///   - identity: Becomes the user's where the path needs it.
  /// - Throws: Why it could not be ended; then it goes on as it was.
  public borrowing func remove(
    _ path: borrowing EnrollmentPath, of account: borrowing Account, tag: UInt64, identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    let parent = try EnrollmentDirectory(parentOf: path, of: account, identity: &identity)
    parent.eraseLeftovers(of: path)
    let name = path.lastName
    let other = Self.otherName(of: path, Self.removedInfix, tag)
    let flusher = try parent.openForFlushing()
    try parent.rename(name, to: other)
    do throws(Errno) {
      try flusher.synchronize()
    } catch {
      try parent.rename(other, to: name)
      throw EnrollmentFailure(.io, "directory", "cannot be flushed", error: error)
    }
    parent.erase(other)
  }

  /// Creates a file that is the user's alone, whatever the umask.
  borrowing func createFile(_ name: Literal, for purpose: OpenFile.Purpose) throws(EnrollmentFailure) -> OpenFile {
    try attempt(name, "cannot be created", directory.create(name, for: purpose, permissions: 0o600))
  }

  private borrowing func fill(
    _ name: borrowing ByteText, credential: Span<UInt8>, state: borrowing LoginState
  ) throws(EnrollmentFailure) {
    let opened = try attempt("directory", "cannot be opened", directory.open(name, for: .directory))
    try attempt("directory", "cannot be opened", opened.setPermissions(0o700))
    let owner = try attempt("directory", "cannot be opened", opened.status()).owner
    let new = EnrollmentDirectory(directory: opened, owner: owner)
    try new.write(credential, to: "credential")
    let file = try StateFile(locking: new.createFile("state", for: .readWrite))
    try file.rewrite(state, sequence: 1)
    let flusher = try new.openForFlushing()
    try attempt("directory", "cannot be flushed", flusher.synchronize())
  }

  private borrowing func write(_ text: Span<UInt8>, to name: Literal) throws(EnrollmentFailure) {
    let file = try createFile(name, for: .write)
    try attempt("credential", "cannot be written", file.write(text, at: 0))
    try attempt("credential", "cannot be written", file.synchronize())
  }

  /// Opens the directory so that fsync(2) can be called on it: the walk opened it only to pass through.
  private borrowing func openForFlushing() throws(EnrollmentFailure) -> OpenFile {
    try openFile(".", for: .directory)
  }

  /// Gives something in the directory another name (renameat(2)).
  private borrowing func rename(
    _ from: borrowing ByteText, to target: borrowing ByteText
  ) throws(EnrollmentFailure) {
    try attempt("directory", "cannot be put in its place", directory.rename(from, to: target))
  }

  private borrowing func rename(_ from: Literal, to target: Literal) throws(EnrollmentFailure) {
    try attempt("directory", "cannot be put in its place", directory.rename(from, to: target))
  }

  /// Erases the files of a directory in this one, and the directory itself where nothing else is in it.
  borrowing func erase(_ name: borrowing ByteText) {
    do throws(Errno) {
      let opened = try directory.open(name, for: .traversal)
      let owner = try opened.status().owner
      let old = EnrollmentDirectory(directory: opened, owner: owner)
      old.overwriteCredential()
      old.directory.removeFile("credential")
      old.directory.removeFile("credential.new")
      old.directory.removeFile("state")
    } catch {
      return
    }
    directory.removeDirectory(name)
  }

  /// Writes zeros over the secrets, for a disk on which that means something.
  private borrowing func overwriteCredential() {
    do throws(EnrollmentFailure) {
      let file = try openFile("credential", for: .write)
      let length = Int(truncatingIfNeeded: try checkedStatus(of: file, "credential").size)
      let zeros = InlineArray<1024, UInt8>(repeating: 0)
      for offset in stride(from: 0, to: Swift.min(length, Credential.maximumLength), by: zeros.count) {
        let part = zeros.span.slice(from: 0, to: length &- offset)
        try attempt("credential", "cannot be written", file.write(part, at: offset))
      }
      try attempt("credential", "cannot be flushed", file.flush())
    } catch {
      // What cannot be overwritten is removed all the same.
    }
  }

  static func otherName(of path: borrowing EnrollmentPath, _ infix: Literal, _ tag: UInt64) -> ByteText {
    var name = ByteText(capacity: 299)
    name.append(path.lastName)
    name.append(infix)
    name.append(decimal: tag)
    return name
  }
}
