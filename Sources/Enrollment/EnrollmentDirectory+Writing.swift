internal import CSystem
internal import FixedMemory

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
    let made = unsafe temporary.withCString { unsafe mkdirat(parent.directory.descriptor, $0, 0o700) }
    guard made == 0 else {
      throw EnrollmentFailure(.io, "directory", "cannot be created", error: csystem_errno())
    }
    do throws(EnrollmentFailure) {
      try parent.fill(temporary, credential: credential, state: state)
      let flusher = try parent.openForFlushing()
      try parent.rename(temporary, to: name)
      guard fsync(flusher.descriptor) == 0 else {
        let error = csystem_errno()
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
    _ = unsafe unlinkat(directory.descriptor, temporary.cString, 0)
    do throws(EnrollmentFailure) {
      try write(credential, to: temporary)
      let flusher = try openForFlushing()
      try unsafe rename(temporary.cString, to: name.cString)
      guard fsync(flusher.descriptor) == 0 else {
        let error = csystem_errno()
        // The old one is put back as it was: its state still stands beside that of the new one.
        try write(enrollment.credential.text.bytes, to: temporary)
        try unsafe rename(temporary.cString, to: name.cString)
        throw EnrollmentFailure(.io, "directory", "cannot be flushed", error: error)
      }
    } catch {
      _ = unsafe unlinkat(directory.descriptor, temporary.cString, 0)
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
    guard fsync(flusher.descriptor) == 0 else {
      let error = csystem_errno()
      try parent.rename(other, to: name)
      throw EnrollmentFailure(.io, "directory", "cannot be flushed", error: error)
    }
    parent.erase(other)
  }

  /// Creates a file that is the user's alone, whatever the umask.
  borrowing func createFile(_ name: Literal, flags: Int32) throws(EnrollmentFailure) -> OpenFile {
    guard let file = unsafe OpenFile.at(directory.descriptor, name.cString, flags | O_CREAT, mode: 0o600),
      fchmod(file.descriptor, 0o600) == 0
    else {
      throw EnrollmentFailure(.io, name, "cannot be created", error: csystem_errno())
    }
    return file
  }

  private borrowing func fill(
    _ name: borrowing ByteText, credential: Span<UInt8>, state: borrowing LoginState
  ) throws(EnrollmentFailure) {
    let opened = unsafe name.withCString {
      unsafe OpenFile.at(directory.descriptor, $0, O_RDONLY | O_DIRECTORY)
    }
    guard let opened, fchmod(opened.descriptor, 0o700) == 0, let status = opened.status() else {
      throw EnrollmentFailure(.io, "directory", "cannot be opened", error: csystem_errno())
    }
    let new = EnrollmentDirectory(directory: opened, owner: status.owner)
    try new.write(credential, to: "credential")
    let file = try StateFile(locking: new.createFile("state", flags: O_RDWR | O_EXCL))
    try unsafe withUnsafeBytes(of: state) { state throws(EnrollmentFailure) in
      try file.rewrite(unsafe Span(_unsafeBytes: state), sequence: 1)
    }
    // Bound to a name: a value without one is closed before fsync is called.
    let flusher = try new.openForFlushing()
    guard fsync(flusher.descriptor) == 0 else {
      throw EnrollmentFailure(.io, "directory", "cannot be flushed", error: csystem_errno())
    }
  }

  private borrowing func write(_ text: Span<UInt8>, to name: Literal) throws(EnrollmentFailure) {
    let file = try createFile(name, flags: O_WRONLY | O_EXCL)
    guard file.write(text, at: 0), fsync(file.descriptor) == 0 else {
      throw EnrollmentFailure(.io, "credential", "cannot be written", error: csystem_errno())
    }
  }

  /// Opens the directory so that fsync(2) can be called on it: the walk opened it only to pass through.
  private borrowing func openForFlushing() throws(EnrollmentFailure) -> OpenFile {
    try openFile(".", flags: O_RDONLY | O_DIRECTORY)
  }

  /// Gives something in the directory another name (renameat(2)).
  private borrowing func rename(
    _ from: borrowing ByteText, to target: borrowing ByteText
  ) throws(EnrollmentFailure) {
    try unsafe from.withCString { old throws(EnrollmentFailure) in
      try unsafe target.withCString { new throws(EnrollmentFailure) in try unsafe rename(old, to: new) }
    }
  }

  private borrowing func rename(
    _ from: UnsafePointer<CChar>, to target: UnsafePointer<CChar>
  ) throws(EnrollmentFailure) {
    guard unsafe renameat(directory.descriptor, from, directory.descriptor, target) == 0 else {
      throw EnrollmentFailure(.io, "directory", "cannot be put in its place", error: csystem_errno())
    }
  }

  /// Erases the files of a directory in this one, and the directory itself where nothing else is in it.
  borrowing func erase(_ name: borrowing ByteText) {
    let opened = unsafe name.withCString {
      unsafe OpenFile.at(directory.descriptor, $0, csystem_o_path | O_DIRECTORY)
    }
    guard let opened, let status = opened.status() else { return }
    let old = EnrollmentDirectory(directory: opened, owner: status.owner)
    old.overwriteCredential()
    old.removeFile("credential")
    old.removeFile("credential.new")
    old.removeFile("state")
    _ = unsafe name.withCString { unsafe unlinkat(directory.descriptor, $0, AT_REMOVEDIR) }
  }

  private borrowing func removeFile(_ name: Literal) {
    _ = unsafe unlinkat(directory.descriptor, name.cString, 0)
  }

  /// Writes zeros over the secrets, for a disk on which that means something.
  private borrowing func overwriteCredential() {
    do throws(EnrollmentFailure) {
      let file = try openFile("credential", flags: O_WRONLY)
      let length = Int(truncatingIfNeeded: try checkedStatus(of: file, "credential").size)
      let zeros = InlineArray<1024, UInt8>(repeating: 0)
      for offset in stride(from: 0, to: Swift.min(length, Credential.maximumLength), by: zeros.count) {
        guard file.write(zeros.span.slice(from: 0, to: length &- offset), at: offset) else { return }
      }
      _ = file.flush()
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
